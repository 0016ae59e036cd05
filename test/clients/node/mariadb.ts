import { readFileSync } from 'node:fs'
import { cell, config, runCases } from './driver.ts'

type Field = {
  db(): string
  table(): string
  orgTable(): string
  name(): string
  orgName(): string
  columnType: number
  columnLength: number
  flags: number
  scale: number
  collation: { index: number }
}
type Answer = { affectedRows: number; insertId: bigint; warningStatus: number } | (unknown[][] & { meta: Field[] })
type Connection = {
  query(o: object, v: unknown[]): Promise<Answer>
  execute(o: object, v: unknown[]): Promise<Answer>
  end(): Promise<void>
}
const { createConnection } = (await import(process.argv[3] as string)) as { createConnection(o: object): Promise<Connection> }

const { host, port, user, password, database, tls } = config
const connection = await createConnection({
  host,
  port,
  user,
  password,
  database,
  allowPublicKeyRetrieval: true,
  ...(tls === null ? {} : { ssl: { ca: readFileSync(tls) } }),
})
await runCases(async (form, one, params) => {
  const options = { sql: one.sql, rowsAsArray: true, metaAsArray: false }
  const result = form === 'text' ? await connection.query(options, params) : await connection.execute(options, params)
  if (!Array.isArray(result))
    return { affectedRows: result.affectedRows, insertId: String(result.insertId), warnings: result.warningStatus }
  return {
    columns: result.meta.map((f) =>
      [f.db(), f.table(), f.orgTable(), f.name(), f.orgName(), f.columnType, f.columnLength, f.flags, f.scale, f.collation?.index].map(
        String,
      ),
    ),
    rows: result.map((row) => row.map(cell)),
  }
})
await connection.end()
