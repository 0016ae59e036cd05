import { readFileSync } from 'node:fs'
import mysql from 'mysql2/promise'
import { cell, config, runCases } from './driver.ts'

const { host, port, user, password, database, tls } = config
const connection = await mysql.createConnection({
  host,
  port,
  user,
  password,
  database,
  supportBigNumbers: true,
  ...(tls === null ? {} : { ssl: { ca: readFileSync(tls) } }),
})
type Field = mysql.FieldPacket & { characterSet: number; columnLength: number; columnType: number; schema: string }
await runCases(async (form, one, params) => {
  const given = params as never[]
  const [result, fields] =
    form === 'text'
      ? await connection.query({ sql: one.sql, rowsAsArray: true }, given)
      : await connection.execute({ sql: one.sql, rowsAsArray: true }, given)
  if (!Array.isArray(result)) {
    const { affectedRows, insertId, info, warningStatus } = result as mysql.ResultSetHeader
    return { affectedRows, insertId: String(insertId), info, warnings: warningStatus }
  }
  return {
    columns: (fields as Field[]).map((f) =>
      [f.schema, f.table, f.orgTable, f.name, f.orgName, f.columnType, f.columnLength, f.flags, f.decimals, f.characterSet].map(String),
    ),
    rows: (result as unknown[][]).map((row) => row.map(cell)),
  }
})
await connection.end()
