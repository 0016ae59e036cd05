/** Tables that copies are measured with. Rows are different from each other and cheap to make. */
import type { Connection } from '../src/mysql/connection.ts'
import type { StreamTable } from '../src/topology/records.ts'
import { byId, fillSysbench, sysbenchDdl } from './mover-kit.ts'

export type BenchTable = {
  ddl: (name: string) => string
  fill: (conn: Connection, name: string, rows: number) => Promise<void>
  moved: (name: string) => StreamTable
  /** Read once beforehand, so that the pages are in memory. */
  lastColumn: string
}

const texts = Array.from({ length: 15 }, (_, i) => `t${i}`)
const numbers = Array.from({ length: 8 }, (_, i) => `n${i}`)
const others = [
  'd0 DATETIME(3) NULL',
  'd1 DATE NOT NULL',
  'm0 DECIMAL(12,2) NOT NULL',
  'm1 DECIMAL(20,6) NULL',
  'f DOUBLE NOT NULL',
  'e TINYINT NOT NULL',
]

const wideRow = (i: number): string =>
  `(${i},${texts.map((_, t) => `'text ${t} of the row ${i * 31 + t}'`).join(',')},${numbers.map((_, n) => i * 7 + n).join(',')},` +
  `'2026-01-02 03:04:05.678','2026-01-${String((i % 28) + 1).padStart(2, '0')}',${i}.25,${i % 2 === 0 ? 'NULL' : `${i}.123456`},${i}.5,${i % 100})`

export const benchTables: Readonly<Record<string, BenchTable>> = {
  sysbench: { ddl: sysbenchDdl, fill: fillSysbench, moved: byId, lastColumn: 'pad' },
  wide: {
    ddl: (name) =>
      `CREATE TABLE ${name} (id INT NOT NULL PRIMARY KEY, ${texts.map((t) => `${t} VARCHAR(60) NOT NULL`).join(', ')}, ${numbers.map((n) => `${n} BIGINT NOT NULL`).join(', ')}, ${others.join(', ')}, KEY n0 (n0)) DEFAULT CHARSET=utf8mb4`,
    fill: (conn, name, rows) => fillRows(conn, name, rows, 500, wideRow),
    moved: byId,
    lastColumn: 'e',
  },
  'text-key': {
    ddl: (name) =>
      `CREATE TABLE ${name} (code VARCHAR(40) NOT NULL PRIMARY KEY, k INT NOT NULL, c VARCHAR(120) NOT NULL, KEY k (k)) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci`,
    fill: (conn, name, rows) =>
      fillRows(
        conn,
        name,
        rows,
        2000,
        (i) => `('customer-${String(i * 7919).padStart(16, '0')}',${i},'some text of customer ${i} which is as long as texts are')`,
      ),
    moved: (name) => ({ name, reference: false, vindex: { type: 'xxhash', params: {}, columns: ['code'] } }),
    lastColumn: 'c',
  },
  // Documents of 200 bytes of kinds that JSON has.
  json: {
    ddl: (name) => `CREATE TABLE ${name} (id INT NOT NULL PRIMARY KEY, j JSON NOT NULL) DEFAULT CHARSET=utf8mb4`,
    fill: (conn, name, rows) => fillRows(conn, name, rows, 1000, (i) => `(${i},'${JSON.stringify(documentOf(i))}')`),
    moved: byId,
    lastColumn: 'j',
  },
}

const documentOf = (i: number): unknown => ({
  id: i,
  name: `customer ${i}`,
  tags: ['a', 'bb', 'ccc'],
  price: i + 0.5,
  active: true,
  created: '2026-01-02 03:04:05',
  address: { street: `main road ${i}`, zip: '12345', geo: [52.1234, 13.4321] },
})

async function fillRows(conn: Connection, name: string, rows: number, each: number, row: (i: number) => string): Promise<void> {
  for (let at = 0; at < rows; at += each)
    await conn.query(`INSERT INTO ${name} VALUES ${Array.from({ length: Math.min(each, rows - at) }, (_, i) => row(at + i)).join(',')}`)
}
