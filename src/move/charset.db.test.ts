/** PROTOCOLS 1.1, 2: a shard key's place is made of the text that the server gives a client, whatever the column's character set. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../mysql/connect.ts'
import { flavours, sharedServer, uniqueName } from '../../test/kit/servers.ts'
import { charsetToUtf8 } from './charset.ts'
import { World } from './testkit/world.ts'

for (const flavour of flavours()) {
  test(`1.1 on ${flavour}: shard keys of every character set that can be routed are read as the server reads them, each character`, async () => {
    const server = await sharedServer(flavour)
    await using conn = await connect(server.config)
    const schema = uniqueName('c')
    await conn.query(`CREATE DATABASE ${schema}`)
    await conn.useDatabase(schema)
    const unsupported: string[] = []
    for (const { Charset: charset } of await conn.allText('SHOW CHARACTER SET')) {
      const toUtf8 = charsetToUtf8(charset ?? '')
      if (toUtf8 === 'unsupported') unsupported.push(charset ?? '')
      if (toUtf8 === null || toUtf8 === 'unsupported') continue
      const wide = /^(utf16|ucs2)/.test(charset ?? '')
      const all = wide
        ? units().map((unit) => Buffer.from(charset === 'utf16le' ? [unit & 255, unit >> 8] : [unit >> 8, unit & 255]))
        : bytes()
      await conn.query(`CREATE TABLE ${charset} (id INT NOT NULL PRIMARY KEY, c VARCHAR(4) CHARACTER SET ${charset} NOT NULL)`)
      for (let at = 0; at < all.length; at += 10_000)
        await conn.query(
          `INSERT INTO ${charset} VALUES ${all
            .slice(at, at + 10_000)
            .map((value, i) => `(${at + i}, x'${value.toString('hex')}')`)
            .join(',')}`,
        )
      const rows = await conn.allText(`SELECT HEX(c) AS held, HEX(CONVERT(c USING utf8mb4)) AS given FROM ${charset} ORDER BY id`)
      assert.equal(rows.length, all.length)
      const wrong = rows.filter(
        ({ held, given }) =>
          Buffer.from(toUtf8(Buffer.from(held ?? '', 'hex')))
            .toString('hex')
            .toUpperCase() !== given,
      )
      assert.deepEqual(wrong.slice(0, 5), [], `${charset}: ${wrong.length}`)
    }
    for (const charset of ['gbk', 'big5', 'sjis', 'cp932', 'ujis', 'eucjpms', 'euckr']) assert.ok(unsupported.includes(charset), charset)
    await conn.query(`DROP DATABASE ${schema}`)
  })
}

function bytes(): Buffer[] {
  return Array.from({ length: 256 }, (_, byte) => Buffer.from([byte]))
}

/** A sample of all, and the marks of a byte order. */
function units(): number[] {
  const some = Array.from({ length: 65_536 }, (_, unit) => unit).filter((unit) => unit % 37 === 0 && (unit < 0xd800 || unit > 0xdfff))
  return [...some, 0xfeff, 0xfffe]
}

// skip-character-set-client-handshake: MySQL 9 has it no more.
if (flavours().includes('mariadb'))
  test("1.1, 1.12 on mariadb: where servers are told to go by no client's charset, names and members are those of the source", async () => {
    const table = {
      name: 'item',
      shardKey: 'owner',
      ddl: "CREATE TABLE item (id INT PRIMARY KEY, owner INT NOT NULL, e ENUM('ä', 'b') CHARACTER SET utf8mb4, `ü` VARCHAR(20) CHARACTER SET utf8mb4 DEFAULT 'ö')",
    }
    const settings = { 'skip-character-set-client-handshake': 1, 'character-set-server': 'latin1' }
    await using world = await World.create({ flavour: 'mariadb', sources: ['-'], targets: ['-'], tables: [], settings })
    for (const conn of [world.s, world.t]) await conn.query('SET NAMES utf8mb4')
    world.tables.push(table)
    await world.s.query(table.ddl)
    await world.s.query("INSERT INTO item VALUES (1, 1, 'ä', 'ß')")
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await world.s.query("INSERT INTO item VALUES (2, 2, 'ä', DEFAULT)")
    await world.drain(record.uid)
    await running.stop()
    const rows = await world.t.allText(`SELECT e, \`ü\` FROM ${world.targetRefs[0]!.schema}.item ORDER BY id`)
    assert.deepEqual(
      rows.map((row) => Object.entries(row)),
      [
        [
          ['e', 'ä'],
          ['ü', 'ß'],
        ],
        [
          ['e', 'ä'],
          ['ü', 'ö'],
        ],
      ],
    )
  })
