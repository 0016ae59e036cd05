/** What equality.ts says of collations and unicode_loose_*, asked of the servers for single characters. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { flavours, sharedServer, uniqueName } from '../../../test/kit/servers.ts'
import { createVindex } from '../../keyspace/vindexes/create.ts'
import { connect } from '../../mysql/connect.ts'
import { isPlainAscii } from './equality.ts'

const vindex = createVindex('unicode_loose_xxhash', 'loose', {}, null)
const idOf = (char: string): string => {
  const id = vindex.map([{ type: 'VARCHAR', bytes: Buffer.from(char) }])
  return id === null ? 'none' : Buffer.from(id).toString('hex')
}

/** Characters that the server holds equal by this collation, as groups. */
async function groups(flavour: Parameters<typeof sharedServer>[0], collation: string, last: number): Promise<string[][]> {
  const server = await sharedServer(flavour)
  await using connection = await connect(server.config)
  const schema = uniqueName('equality')
  await connection.query(`CREATE DATABASE ${schema}`)
  await connection.query(`USE ${schema}`)
  await connection.query('CREATE TABLE c (n INT PRIMARY KEY, c VARCHAR(2) CHARACTER SET utf8mb4)')
  const codes = Array.from({ length: last }, (_, i) => i + 1).filter((code) => code < 0xd800 || code > 0xdfff)
  for (let i = 0; i < codes.length; i += 10_000) {
    const values = codes
      .slice(i, i + 10_000)
      .map((code) => `(${code}, CONVERT(x'${Buffer.from(String.fromCharCode(code)).toString('hex')}' USING utf8mb4))`)
    await connection.query(`INSERT INTO c VALUES ${values.join(',')}`)
  }
  const found = await connection.query(`SELECT n, WEIGHT_STRING(c COLLATE ${collation}) FROM c`)
  assert.ok(found.kind === 'rows')
  const byWeight = new Map<string, string[]>()
  for (const [n, weight] of found.rows) {
    const key = weight?.toString('hex') ?? ''
    const group = byWeight.get(key)
    if (group === undefined) byWeight.set(key, [String.fromCharCode(Number(n))])
    else group.push(String.fromCharCode(Number(n)))
  }
  await connection.query(`DROP DATABASE ${schema}`)
  return [...byWeight.values()]
}

for (const flavour of flavours()) {
  describe(flavour, () => {
    test('promise 10: what general_ci holds equal to a plain ASCII character has its keyspace id', async () => {
      let checked = 0
      for (const group of await groups(flavour, 'utf8mb4_general_ci', 0xffff)) {
        const plain = group.filter((char) => isPlainAscii(Buffer.from(char)))
        if (plain.length === 0) continue
        checked++
        for (const char of group) assert.equal(idOf(char), idOf(plain[0] as string), `${char} = ${plain[0]}`)
      }
      assert.ok(checked > 60)
    })

    for (const collation of [
      'utf8mb4_unicode_ci',
      'utf8mb4_unicode_520_ci',
      flavour === 'mysql' ? 'utf8mb4_0900_ai_ci' : 'utf8mb4_uca1400_ai_ci',
    ]) {
      test(`promise 10: below U+0250, what ${collation} holds equal has one keyspace id`, async () => {
        for (const group of await groups(flavour, collation, 0x24f)) {
          // Spaces: the vindex cuts U+0020 at the end, the collations also hold U+00A0 equal to it.
          if (group.includes(' ')) continue
          for (const char of group)
            assert.equal(
              idOf(char),
              idOf(group[0] as string),
              `${collation}: U+${char.charCodeAt(0).toString(16)} and U+${group[0]?.charCodeAt(0).toString(16)}`,
            )
        }
      })
    }
  })
}
