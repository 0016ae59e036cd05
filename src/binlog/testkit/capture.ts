/**
 * Makes the fixtures of `group-decoder.test.ts` anew from real servers: `node src/binlog/testkit/capture.ts`. Each holds the packets of one dump as
 * the server sent them, and what they decode to; look at the difference before committing one.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { flavours, testServer } from '../../../test/kit/servers.ts'
import type { Connection, ConnectOptions } from '../../mysql/connection.ts'
import { dumpCommand, prepareDump } from '../dump.ts'
import { currentPosition } from '../position.ts'
import { parsePosition } from '../position-text.ts'
import { readTableDefinitions } from '../table-definitions.ts'
import { copySession } from './collect.ts'
import { decodeFixture, type Fixture } from './fixture.ts'
import { typeCases } from './nasty-values.ts'

async function packetsSince(config: ConnectOptions, start: string, connection: Connection): Promise<string[]> {
  const end = await connection.allText(connection.flavour === 'mysql' ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS')
  const reader = await copySession(config)
  const parts = parsePosition(start)
  await prepareDump(reader, 'capture', parts, 1_000, '00000000-0000-0000-0000-000000000001')
  const packets: string[] = []
  const stream = reader.command(dumpCommand(parts, 77_777))
  for (;;) {
    const packet = await stream.next()
    if (packet === null) break
    packets.push(packet.subarray(1).toString('base64'))
    if (packet.readUInt32LE(1 + 13) === Number(end[0]?.['Position'])) break
  }
  reader.destroy()
  return packets
}

for (const flavour of flavours()) {
  await using server = await testServer({ flavour })
  const connection = await copySession(server.config)
  await connection.query('SET NAMES utf8mb4')
  await connection.query('CREATE DATABASE f')
  const cases = typeCases.filter(
    ({ only, values }) => (only === undefined || only === flavour) && values.every((value) => !/REPEAT/.test(value)),
  )
  const columns = cases.map(({ type }, i) => `c${i} ${type}${/NULL/.test(type) ? '' : ' NULL'}`)
  await connection.query(`CREATE TABLE f.wide (id INT PRIMARY KEY, ${columns.join(', ')})`)
  await connection.query('CREATE TABLE f.t (id BIGINT UNSIGNED PRIMARY KEY, v VARCHAR(30))')
  const start = await currentPosition(connection)
  for (let row = 0; row < 8; row++) {
    const values = cases.map(({ values: list }) => (row === 7 ? 'NULL' : (list[row % list.length] ?? 'NULL')))
    await connection.query(`INSERT IGNORE INTO f.wide VALUES (${row}, ${values.join(', ')})`)
  }
  await connection.query('UPDATE f.wide SET id = id + 10 ORDER BY id DESC')
  await connection.query('DELETE FROM f.wide')
  await connection.query("INSERT INTO f.t VALUES (18446744073709551615, 'a'), (2, NULL)")
  await connection.query("XA START 'x','y',3")
  await connection.query("UPDATE f.t SET v = 'b'")
  await connection.query("XA END 'x','y',3")
  await connection.query("XA PREPARE 'x','y',3")
  await connection.query("XA COMMIT 'x','y',3")
  await connection.query('ALTER TABLE f.t COMMENT ""'.replaceAll('"', "'"))
  if (flavour === 'mysql') {
    await connection.query('SET SESSION binlog_transaction_compression=ON')
    await connection.query("SET SESSION gtid_next='AUTOMATIC:tag'")
  } else await connection.query('SET GLOBAL log_bin_compress=1, GLOBAL log_bin_compress_min_len=10')
  await connection.query(`DELETE FROM f.t`)
  await connection.query(`INSERT INTO f.t VALUES (3, '${'z'.repeat(30)}'), (4, '${'z'.repeat(30)}')`)
  const fixture: Fixture = {
    version: server.version,
    position: start,
    definitions: Object.fromEntries(await readTableDefinitions(connection, 'f')),
    packets: await packetsSince(server.config, start, connection),
    events: [],
  }
  await connection.close()
  const events = decodeFixture(fixture)
  writeFileSync(join(import.meta.dirname, '..', 'testdata', `${flavour}.json`), `${JSON.stringify({ ...fixture, events }, null, 1)}\n`)
}
