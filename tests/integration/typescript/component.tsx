// The component, rendered: first for one organization, then for the other.
import { act } from 'react'
import { create, type ReactTestInstance } from 'react-test-renderer'
import { Controls } from './Controls.js'
import { Session } from './session.js'
import { email, gate, hear, issuer, password, tell } from './told.js'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

async function shown(root: ReactTestInstance): Promise<string[]> {
  for (let tries = 0; tries < 200; tries += 1) {
    const items = root.findAllByType('li')
    if (items.length > 0) return items.map((item) => String(item.children[0]))
    await act(() => new Promise((resolve) => setTimeout(resolve, 50)))
  }
  throw new Error('nothing is shown within ten seconds')
}

const session = await Session.login(gate, issuer, email, password)
const rendered = await act(async () => create(<Controls session={session} />))
tell('shown', await shown(rendered.root))
const entered = await session.switchTo(await hear())
await act(async () => rendered.update(<Controls session={entered} />))
tell('shown', await shown(rendered.root))
process.exit(0)
