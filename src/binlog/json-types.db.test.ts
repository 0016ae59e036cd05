/** Proves: the SELECT of a document never gives less than the document (json-types.ts). That it gives what the tail does: `column-values.db.test.ts`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { typedDocument } from './json-types.ts'
import { copySession } from './testkit/collect.ts'

for (const flavour of flavours().filter((name) => name === 'mysql')) {
  test(`promise 4 on ${flavour}: a document whose text and list are larger than a packet is an error, not NULL and not without its list`, async () => {
    await using server = await testServer({ flavour, extra: { max_allowed_packet: 65_536 } })
    await using connection = await copySession(server.config)
    await connection.query('CREATE DATABASE large')
    await connection.query('CREATE TABLE large.t (id INT NOT NULL PRIMARY KEY, j JSON)')
    // Of 3 bytes each, listed with 28.
    for (const [id, count] of [1000, 5000].entries())
      await connection.query(
        `INSERT INTO large.t WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < ${count}) SELECT /*+ SET_VAR(cte_max_recursion_depth=5000) */ ${id}, JSON_ARRAYAGG(CAST(7 AS UNSIGNED)) FROM r`,
      )
    const read = (id: number): Promise<unknown> =>
      connection.value(`SELECT SHA2(${typedDocument('`j`')}, 256) FROM large.t WHERE id = ${id}`)
    assert.match(String(await read(0)), /^[0-9a-f]{64}$/)
    await assert.rejects(read(1), /max_allowed_packet|Invalid JSON text/)
  })
}
