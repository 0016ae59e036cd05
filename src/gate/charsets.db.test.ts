/** What the gate takes collation ids for, beside the servers' own lists; and why a character set must be given by its name. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import { bytesOfCharacters, charsetOfCollation, initialNames } from './charsets.ts'

/** A byte below 0x80 may be half of a character, or another one. */
const unsafe = new Set(['big5', 'sjis', 'gbk', 'cp932', 'gb18030', 'swe7', 'ucs2', 'utf16', 'utf16le', 'utf32'])

for (const flavour of flavours())
  test(`promise 10: a collation's id is of the character set that the server has it in, or refused; ${flavour}`, async () => {
    await using server = await testServer({ flavour, binlog: false })
    await using c = await connect(server.config)
    const rows = await c.allText(
      'SELECT ID AS id, CHARACTER_SET_NAME AS charset FROM information_schema.COLLATIONS WHERE CHARACTER_SET_NAME IS NOT NULL AND ID IS NOT NULL',
    )
    const all =
      flavour === 'mariadb'
        ? rows.concat(
            await c.allText(
              'SELECT ID AS id, CHARACTER_SET_NAME AS charset FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE ID IS NOT NULL',
            ),
          )
        : rows
    assert.ok(all.length > 200)
    const longest = new Map(
      (await c.allText('SELECT CHARACTER_SET_NAME AS charset, MAXLEN AS bytes FROM information_schema.CHARACTER_SETS')).map((row) => [
        row['charset'],
        Number(row['bytes']),
      ]),
    )
    for (const { id, charset } of all) {
      const is = charset === 'utf8' ? 'utf8mb3' : (charset as string)
      assert.equal(charsetOfCollation(Number(id)), unsafe.has(is) ? null : is, `id ${id} of ${charset}`)
      assert.equal(bytesOfCharacters(Number(id))?.max, longest.get(charset as string), `id ${id} of ${charset}`)
      const names = initialNames(Number(id))
      if (names === null) continue
      await c.query(`SET NAMES ${names}`)
      const now = await c.value('SELECT @@character_set_client')
      assert.equal(now === 'utf8' ? 'utf8mb3' : now, is, names)
    }
    // Why numbers are refused in SET (passthrough.test.ts).
    await c.query('SET NAMES utf8mb4')
    await c.query('SET character_set_client = 28')
    assert.equal(await c.value('SELECT @@character_set_client'), 'gbk')
  })

test('an id that nobody knows is refused', () => {
  assert.equal(charsetOfCollation(0), 'utf8mb4', 'none is named')
  for (const id of [17, 600, 999, 1024 + 17, 5000]) assert.equal(charsetOfCollation(id), null, String(id))
})
