/**
 * What a foreign key and the indexes that it needs cost while rows are loaded, against building them after (docs/decisions/032): seconds, and processor seconds of the server.
 *
 *     npm run bench:foreign-keys -- 400000
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { connect } from '../src/mysql/connect.ts'
import { flavours, testServer } from '../test/kit/servers.ts'

const rows = Number(process.argv[2] ?? 400_000)
const parents = rows / 4
const batch = 2_000

for (const flavour of flavours()) {
  await using server = await testServer({ flavour, bufferPoolMb: 256 })
  await using connection = await connect(server.config)
  const cpuS = (): number => {
    const fields =
      readFileSync(resolve('/proc', String(server.pid), 'stat'), 'utf8')
        .split(') ')[1]
        ?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  }
  const measured = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    const [beforeS, beganMs] = [cpuS(), performance.now()]
    await work()
    console.log(
      `${flavour}: ${what}: ${((performance.now() - beganMs) / 1000).toFixed(2)} s, ${(cpuS() - beforeS).toFixed(2)} s of processor time`,
    )
  }
  const load = async (table: string, count: number, row: (id: number) => string): Promise<void> => {
    for (let at = 0; at < count; at += batch)
      await connection.query(`INSERT INTO ${table} VALUES ${Array.from({ length: batch }, (_, i) => row(at + i)).join()}`)
  }
  await connection.query('CREATE DATABASE fk')
  await connection.useDatabase('fk')
  await connection.query('SET foreign_key_checks=0, unique_checks=0')
  for (const kind of ['from the start', 'after', 'from the start', 'after'] as const) {
    const [key, foreign] =
      kind === 'after'
        ? ['', '']
        : [', UNIQUE KEY code (code)', ', KEY code (code), CONSTRAINT fk FOREIGN KEY (code) REFERENCES parent (code)']
    await connection.query('DROP TABLE IF EXISTS child, parent')
    await connection.query(`CREATE TABLE parent (id INT NOT NULL PRIMARY KEY, code INT NOT NULL${key})`)
    await connection.query(
      `CREATE TABLE child (id INT NOT NULL PRIMARY KEY, code INT NOT NULL, n INT NOT NULL, t VARCHAR(60) NOT NULL${foreign})`,
    )
    await measured(`keys ${kind}, ${parents} rows referred to`, () => load('parent', parents, (i) => `(${i},${(i * 7919) % parents})`))
    await measured(`keys ${kind}, ${rows} rows that refer`, () =>
      load('child', rows, (i) => `(${i},${(i * 7919) % parents},${i % 97},'some text of the row ${i}')`),
    )
    if (kind === 'from the start') continue
    await measured('  the unique key referred to', () => connection.query('ALTER TABLE parent ADD UNIQUE KEY code (code)'))
    await measured('  the index', () => connection.query('ALTER TABLE child ADD KEY code (code)'))
    await measured('  the foreign key', () =>
      connection.query('ALTER TABLE child ADD CONSTRAINT fk FOREIGN KEY (code) REFERENCES parent (code), ALGORITHM=INPLACE'),
    )
  }
}
