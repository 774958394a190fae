// The peer of the client's bench: the TypeScript client's in-memory Shape takes a whole log in.
// node client_shape.mjs URL TABLE; prints one line of JSON: seconds to up-to-date, CPU seconds and rows.
import { Shape, ShapeStream } from '@electric-sql/client'

const [url, table] = process.argv.slice(2)
const aborter = new AbortController()
const started = performance.now()
const before = process.cpuUsage()
const stream = new ShapeStream({ url, params: { table }, signal: aborter.signal })
const rows = await new Shape(stream).rows
const used = process.cpuUsage(before)
const seconds = (performance.now() - started) / 1_000
console.log(JSON.stringify({ seconds, cpu_seconds: (used.user + used.system) / 1_000_000, rows: rows.length }))
process.exit(0)
