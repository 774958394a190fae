// Rows, a change, a token that the gate refuses once, the switch to the other organization, the logout.
import { controlsOf } from './rows.js'
import { Session } from './session.js'
import { email, gate, hear, issuer, password, tell } from './told.js'

const honest = globalThis.fetch
let spoil = false
globalThis.fetch = async (url, init) => {
  if (!spoil || !String(url).startsWith(gate)) return honest(url, init)
  spoil = false
  const headers = new Headers(init?.headers)
  headers.set('authorization', `${headers.get('authorization')}x`)
  const answer = await honest(url, { ...init, headers })
  tell('spoilt', { status: answer.status, offset: new URL(String(url)).searchParams.get('offset') })
  return answer
}

const session = await Session.login(gate, issuer, email, password)
const before = await session.authorization()
const controls = controlsOf(session)
tell('rows', (await controls.rows).map(({ id }) => id))
controls.subscribe(({ rows }) => tell('changed', rows.map(({ description }) => description)))

await hear()
spoil = true
await hear()
tell('renewed', (await session.authorization()) !== before)

const entered = await session.switchTo(await hear())
tell('aborted', session.signal.aborted)
tell('switched', (await controlsOf(entered).rows).map(({ id }) => id))
await entered.logout()
const old = await honest(`${issuer}/api/auth/me`, { headers: { authorization: await entered.authorization() } })
tell('logged out', old.status)
process.exit(0)
