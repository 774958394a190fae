// The peer of the client's bench: pglite-sync takes a whole log in, into a PGlite in memory.
// node client_pglite.mjs URL TABLE STATEMENT; the statement creates the table. Prints one line of JSON:
// seconds until the rows are committed, CPU seconds and rows. PGlite is ready before the clock starts.
import { PGlite } from '@electric-sql/pglite'
import { electricSync } from '@electric-sql/pglite-sync'

const [url, table, statement] = process.argv.slice(2)
const pg = await PGlite.create({ extensions: { electric: electricSync() } })
await pg.exec(statement)
await pg.electric.initMetadataTables()
const started = performance.now()
const before = process.cpuUsage()
await new Promise((resolve, reject) => {
  pg.electric
    .syncShapeToTable({
      shape: { url, params: { table } },
      table,
      primaryKey: ['id'],
      shapeKey: table, // The position is stored, as the client stores its own.
      initialInsertMethod: 'csv', // The quickest for these rows, before json and insert.
      onInitialSync: resolve,
      onError: reject,
    })
    .catch(reject)
})
const used = process.cpuUsage(before)
const seconds = (performance.now() - started) / 1_000
const { rows } = await pg.query(`SELECT count(*)::int AS rows FROM ${table}`)
const cpu_seconds = (used.user + used.system) / 1_000_000
console.log(JSON.stringify({ seconds, cpu_seconds, rows: rows[0].rows }))
process.exit(0)
