/**
 * Every collation of both servers (in CHAR columns tis620_thai_ci differs, too): what is ordered and grouped by its weights over several shards is ordered and grouped as the server does, or is not done by weights. Sabotage: `unweighed` in columns.ts empty.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { flavours, sharedServer, uniqueName } from '../../../test/kit/servers.ts'
import { connect } from '../../mysql/connect.ts'
import type { Connection } from '../../mysql/connection.ts'
import { introducers } from '../../sql/operators.ts'
import { weightOf } from './columns.ts'
import { ScatterRefused } from './refuse.ts'
import { column } from './testkit.ts'

/** What collations treat otherwise than one character after the other: cases, accents, ligatures, letters of several characters, marks, spaces and what stands before them, characters that some sets lack. */
const parts =
  'a A á ä ae æ ß ss s S b z Ž ñ n 1 10 9 é é ﬁ fi 日本 日 本 あ ア 한 中 ก กา เก ก่ ก็ 😀 i ı I İ k ø o đ d l ł ch cz lj ij ÿ y ü ue å aa я а ё ж α β ς א ا - a- a_b ａ ｱ ダ タ ー th co-op coop ř ů × ½'.split(
    ' ',
  )
const texts = [...new Set(['', '\t', '\u00a0', 'a\t', 'a\u00a0', ...parts.flatMap((part) => [part, `${part} `, `b${part}`, `${part}b`])])]

/** Of one character set with all of Unicode's characters; the others' collations of the same names have the same weights. */
const alike = /^(utf8mb3|utf8|ucs2|utf16|utf32)_(?!general|bin|unicode|uca1400_ai_ci|thai|croatian)/

const asked = {
  mysql: 'SELECT COLLATION_NAME, CHARACTER_SET_NAME, PAD_ATTRIBUTE FROM information_schema.COLLATIONS',
  mariadb: `SELECT DISTINCT FULL_COLLATION_NAME, CHARACTER_SET_NAME, IF(FULL_COLLATION_NAME LIKE '%nopad%', 'NO PAD', 'PAD SPACE')
              FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY`,
}

async function rows(connection: Connection, sql: string): Promise<(Buffer | null)[][]> {
  const result = await connection.query(sql)
  assert(result.kind === 'rows')
  return result.rows.map((row) => [...row])
}

for (const flavour of flavours()) {
  describe(flavour, () => {
    test('promise 10: the weights of every collation order and group as the server does, or are not used; every character set has its introducer', async () => {
      const server = await sharedServer(flavour)
      await using connection = await connect(server.config)
      const schema = uniqueName('weights')
      await connection.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
      await connection.query(`USE ${schema}`)
      await connection.query("SET NAMES utf8mb4, sql_mode = ''")
      const byCharset = new Map<string, { name: string; padSpace: boolean }[]>()
      for (const row of await rows(connection, asked[flavour])) {
        const [name = '', charset = '', pad] = row.map(String)
        assert(introducers.has(`_${charset.toUpperCase()}`), charset)
        if (name === 'binary' || alike.test(name)) continue
        byCharset.set(charset, [...(byCharset.get(charset) ?? []), { name, padSpace: pad !== 'NO PAD' }])
      }
      const wrong: string[] = []
      let [right, refused] = [0, 0]
      for (const [charset, collations] of byCharset) {
        await connection.query('DROP TABLE IF EXISTS w')
        const columns = collations.map(({ name }, i) => `c${i} VARCHAR(20) CHARACTER SET ${charset} COLLATE ${name}`)
        await connection.query(`CREATE TABLE w (t VARCHAR(20) CHARACTER SET ${charset}, ${columns.join(', ')}) ENGINE = MyISAM`)
        await connection.query(`INSERT IGNORE INTO w (t) VALUES ${texts.map((text) => `('${text}')`).join(', ')}`)
        await connection.query(`UPDATE w SET ${collations.map((_, i) => `c${i} = t`).join(', ')}`)
        for (const [i, { name, padSpace }] of collations.entries()) {
          let weight: string
          try {
            const info = column('c', 'varchar', { collation: name, lengthMax: 20, padSpace })
            weight = weightOf(info, [{ kind: 'text', text: `c${i}` }], 'ORDER BY')
              .map((piece) => (piece.kind === 'text' ? piece.text : ''))
              .join('')
          } catch (error) {
            assert(error instanceof ScatterRefused)
            refused++
            continue
          }
          const ordered = await rows(connection, `SELECT ${weight}, HEX(c${i}) FROM w ORDER BY c${i}`)
          const first = ordered.findIndex(([cell], at) => at > 0 && Buffer.compare(ordered[at - 1]?.[0] as Buffer, cell as Buffer) > 0)
          const [[both, weights, values] = []] = await rows(
            connection,
            `SELECT COUNT(DISTINCT c${i}, weight), COUNT(DISTINCT weight), COUNT(DISTINCT c${i}) FROM (SELECT c${i}, ${weight} AS weight FROM w) x`,
          )
          if (first < 0 && String(both) === String(weights) && String(both) === String(values)) right++
          else
            wrong.push(
              `${name}: row ${first} (${ordered[first - 1]?.[1]} ${ordered[first]?.[1]}), ${values} groups, ${weights} weights, ${both} of both`,
            )
        }
      }
      assert.deepEqual(wrong, [])
      assert.ok(right > 150 && refused < 60, `${right} right, ${refused} refused`)
      await connection.query(`DROP DATABASE ${schema}`)
    })
  })
}
