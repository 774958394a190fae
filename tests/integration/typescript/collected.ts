// The collection: rows, and a write that is shown at once and confirmed by its transaction.
import { controlCollection } from './collection.js'
import { Session } from './session.js'
import { email, gate, hear, issuer, password, tell } from './told.js'

const session = await Session.login(gate, issuer, email, password)
const controls = controlCollection(session, async (id, changes) => {
  tell('save', { id, changes })
  return await hear()
})
await controls.preload()
tell('rows', controls.toArray.map(({ id }) => id))
const [first] = controls.toArray
if (!first) throw new Error('there are no rows')
const written = controls.update(first.id, (draft) => { draft.description = 'written by the collection' })
tell('shown', controls.get(first.id)?.description)
await written.isPersisted.promise
tell('confirmed', controls.get(first.id)?.description)
process.exit(0)
