// What a program hears when the gate refuses, and when the login has ended.
import { type Row, ShapeStream } from '@electric-sql/client'
import { Session } from './session.js'
import { refusalOf, shapeOptions } from './shape.js'
import { email, gate, hear, issuer, password, tell } from './told.js'

function follow(session: Session, table: string): void {
  const stopped = (error: Error) => tell('stopped', refusalOf(error) ?? error.message)
  const stream = new ShapeStream<Row<unknown>>(shapeOptions(session, { table }, stopped))
  stream.subscribe(() => { if (stream.isUpToDate) tell('up to date') })
}

const session = await Session.login(gate, issuer, email, password)
follow(session, 'shapegate_auth.sessions')
await hear()
follow(session, 'controls')
const [, claims = ''] = (await session.authorization()).split('.')
tell('session', JSON.parse(Buffer.from(claims, 'base64url').toString()).jti)
await hear()
process.exit(0)
