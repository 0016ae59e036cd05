/** What columns.ts says of the servers' weights, asked of the servers: bytes in the order of the text, equal where the text is equal. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { flavours, sharedServer, uniqueName } from '../../../test/kit/servers.ts'
import { connect } from '../../mysql/connect.ts'
import { weightOf } from './columns.ts'
import { column } from './testkit.ts'

const texts = [
  'a',
  'a ',
  'a\t',
  'A',
  'á',
  'ä',
  'ae',
  'ß',
  'ss',
  's',
  'b',
  '',
  '  ',
  'a  b',
  'a b',
  'ab',
  'Z',
  'z',
  'ñ',
  'n',
  '1',
  '10',
  '9',
  ' ',
  'a ',
  'é',
  'é',
  'ﬁ',
  'fi',
  '日本',
  '😀',
  'aa',
  'a!',
  'a-',
  'a_b',
  'i',
  'ı',
  'I',
  'İ',
  'k',
  'K',
  '​',
  'a​',
  'æ',
  'Ø',
  'o',
  'ø',
  'đ',
  'd',
  'l',
]
const collations: Record<string, string[]> = {
  mariadb: [
    'utf8mb4_general_ci',
    'utf8mb4_unicode_ci',
    'utf8mb4_unicode_520_ci',
    'utf8mb4_bin',
    'utf8mb4_nopad_bin',
    'utf8mb4_general_nopad_ci',
    'utf8mb4_uca1400_ai_ci',
    'utf8mb4_uca1400_as_cs',
    'utf8mb4_swedish_ci',
    'latin1_swedish_ci',
    'latin1_bin',
    'latin1_german2_ci',
  ],
  mysql: [
    'utf8mb4_general_ci',
    'utf8mb4_unicode_ci',
    'utf8mb4_unicode_520_ci',
    'utf8mb4_bin',
    'utf8mb4_0900_ai_ci',
    'utf8mb4_0900_as_cs',
    'utf8mb4_0900_bin',
    'utf8mb4_ja_0900_as_cs',
    'utf8mb4_czech_ci',
    'latin1_swedish_ci',
    'latin1_bin',
    'latin1_german2_ci',
  ],
}

for (const flavour of flavours()) {
  describe(flavour, async () => {
    for (const collation of collations[flavour] ?? []) {
      test(`promise 10: weights of ${collation} order and equate as the server does`, async () => {
        const server = await sharedServer(flavour)
        await using connection = await connect(server.config)
        const schema = uniqueName('weights')
        await connection.query(`CREATE DATABASE ${schema}`)
        await connection.query(`USE ${schema}`)
        await connection.query('SET NAMES utf8mb4')
        const charset = collation.slice(0, collation.indexOf('_'))
        const usable = texts.filter((text) => charset !== 'latin1' || [...text].every((char) => char.charCodeAt(0) < 0x100))
        for (const dataType of collation.includes('nopad') ? ['varchar'] : ['varchar', 'char']) {
          await connection.query('DROP TABLE IF EXISTS w')
          await connection.query(`CREATE TABLE w (c ${dataType}(20) CHARACTER SET ${charset} COLLATE ${collation})`)
          await connection.query(`INSERT INTO w VALUES ${usable.map((text) => `('${text}')`).join(', ')}`)
          const info = column('c', dataType, { collation, lengthMax: 20, padSpace: !/nopad|_0900_/.test(collation) })
          const weight = (name: string) =>
            weightOf(info, [{ kind: 'text', text: name }], 'ORDER BY')
              .map((piece) => (piece.kind === 'text' ? piece.text : ''))
              .join('')
          const ordered = await connection.query(`SELECT ${weight('c')} FROM w ORDER BY c`)
          assert.ok(ordered.kind === 'rows' && ordered.rows.length === usable.length)
          ordered.rows.forEach(([cell], i) => {
            const before = ordered.rows[i - 1]?.[0]
            if (before != null && cell != null) assert.ok(Buffer.compare(before, cell) <= 0, `${dataType}: row ${i}`)
          })
          const differing = await connection.query(
            `SELECT COUNT(*) FROM w a JOIN w b WHERE (a.c = b.c) <> (${weight('a.c')} = ${weight('b.c')})`,
          )
          assert.ok(differing.kind === 'rows')
          assert.equal(differing.rows[0]?.[0]?.toString(), '0', dataType)
        }
        await connection.query(`DROP DATABASE ${schema}`)
      })
    }
  })
}
