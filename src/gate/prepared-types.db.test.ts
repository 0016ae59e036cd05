/** What a prepared statement's parameters make of its columns, in answers made of several shards': types and values beside one server with the same rows. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

type Given = Parameters<Awaited<ReturnType<Connection['prepare']>>['execute']>[0]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let beside: BesideOne

    before(async () => {
      world = await gateOnServer({
        keyspaces: { shop: { t: 'by id' }, plain: 'one' },
        tables: ['t (id BIGINT PRIMARY KEY, n INT, d DECIMAL(10,2), s VARCHAR(20))'],
        flavour,
      })
      beside = await besideOne(world)
      const rows = Array.from({ length: 12 }, (_, i) => `(${i + 1}, ${i % 3}, ${i}.25, '${'abc'[i % 3]}')`).join()
      for (const on of [beside.one, beside.c]) await on.query(`INSERT INTO t VALUES ${rows}`)
    })
    after(async () => {
      await beside?.close()
      await world?.stop()
    })

    /** A column's name and type, and a row, a line; the same statement is executed with each of these. */
    async function answers(on: Connection, sql: string, given: readonly Given[]): Promise<string[]> {
      const statement = await on.prepare(sql)
      const said: string[] = []
      for (const params of given) {
        const result = await statement.execute(params)
        assert.ok(result.kind === 'rows')
        for (const { name, type, decimals, flags, charset } of result.columns)
          said.push(`${name}: ${type}, ${decimals} decimals, charset ${charset}${(flags & 0x20) === 0 ? '' : ', unsigned'}`)
        said.push(...result.rows.map((row) => row.map(String).join(' ')))
      }
      statement.close()
      return said
    }

    test('promise 10: parameters of clauses that are about merged groups count in the types of the others', async () => {
      const order = 'ORDER BY (? * ?) DESC, s'
      const cases: [sql: string, ...given: Given[]][] = [
        [`SELECT (? * ?) AS k0, s AS k1, MIN(n) FROM t GROUP BY k0, k1 ${order}`, [5, 4, 5, 4]],
        [`SELECT (? * ?) AS k0, s AS k1, MIN(n) FROM t GROUP BY k0, k1 HAVING MIN(id) IS NOT NULL ${order} LIMIT ?`, [5, 4, 5, 4, 9]],
        ['SELECT s, ? / ? AS q, COUNT(*) FROM t GROUP BY s HAVING COUNT(*) > ? ORDER BY s', [5, 4, 0]],
        ['SELECT s, ? / ? AS q, COUNT(*) FROM t GROUP BY s HAVING COUNT(*) > ? ORDER BY s', [5, 4, 0.5]],
        ['SELECT s, ? / ? AS q, COUNT(*) FROM t GROUP BY s HAVING COUNT(*) > ? AND NOT MIN(n) > ? ORDER BY s', [5, 4, 3.5, 1]],
        ['SELECT s, ? * ? AS q, SUM(n + ?) FROM t WHERE n < ? GROUP BY s HAVING ? < COUNT(*) ORDER BY s', [5, 4, 1, 2, 0.5]],
        ['SELECT ? / ? AS q, COUNT(*) FROM t HAVING COUNT(*) > ?', [5, 4, 0.5]],
        ['SELECT DISTINCT n, ? * ? AS q FROM t ORDER BY n + ?, n', [5, 4, 0.5]],
        ['SELECT (? * ?) AS q, id FROM t ORDER BY (? * ?), id LIMIT ?', [5, 4, 5, 4, 3]],
      ]
      for (const [sql, ...given] of cases) assert.deepEqual(await answers(beside.c, sql, given), await answers(beside.one, sql, given), sql)
    })
  })
}
