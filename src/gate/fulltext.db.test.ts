/**
 * Promise 10: MATCH … AGAINST over several shards. Rows are found as by one server, and what depends on the rows of all is refused. The words are spread so that each shard counts them otherwise than one server:
 * of ten rows one alone has `lonely` (by one server its relevance is 1, and that of `<lonely` 0).
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { isServerError } from '../mysql/errors.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

const kinds = { papers: 'by id', scraps: 'by id', copies: 'reference' } as const

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let sides: BesideOne

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: kinds },
        tables: Object.keys(kinds).map(
          (name) => `${name} (id BIGINT PRIMARY KEY, body TEXT, n INT, FULLTEXT KEY (body))${name === 'scraps' ? ' ENGINE = MyISAM' : ''}`,
        ),
      })
      sides = await besideOne(world)
      for (const table of Object.keys(kinds)) {
        for (let id = 1; id <= 10; id++) {
          const words = [
            'common',
            id > 2 ? 'usual' : '',
            id % 2 === 0 ? 'half' : '',
            id === 7 ? 'lonely' : '',
            id % 4 === 3 ? 'apple pear' : '',
            id === 4 ? 'apple apple' : '',
          ]
          for (const on of [sides.c, sides.one]) await on.query(`INSERT INTO ${table} VALUES (${id}, '${words.join(' ')}', ${id % 3})`)
        }
      }
    })
    after(async () => {
      await sides?.close()
      await world?.stop()
    })

    const sought = [
      'apple',
      'common',
      'usual',
      'half',
      'lonely',
      'common lonely',
      '"apple pear"',
      'absent',
      '+common -apple',
      '+half +(apple lonely)',
      'app* >pear',
      '',
    ]

    test('promise 10: what a row by itself decides is answered over several shards as by one server', async () => {
      for (const words of sought) {
        const natural = `MATCH (body) AGAINST ('${words}')`
        const boolean = `MATCH (body) AGAINST ('${words}' IN BOOLEAN MODE)`
        await sides.alike(`SELECT id FROM papers WHERE ${natural} ORDER BY id`)
        await sides.alike(`SELECT n, COUNT(*) FROM papers WHERE n < 2 AND ${natural} GROUP BY n ORDER BY n`)
        await sides.alike(`SELECT COUNT(*) FROM papers WHERE NOT ${natural} OR n = 1`)
        for (const table of ['papers', 'scraps']) {
          await sides.alike(`SELECT id FROM ${table} WHERE ${boolean} ORDER BY id DESC LIMIT 4`)
          await sides.alike(`SELECT COUNT(*), SUM(n) FROM ${table} WHERE n = 1 OR NOT (${boolean})`)
        }
        // Every shard has all of these.
        await sides.alike(`SELECT id, ROUND(${natural}, 4) FROM copies ORDER BY id`)
        await sides.alike(`SELECT COUNT(*), (SELECT MAX(id) FROM copies WHERE ${natural} > 0.01) FROM papers`)
      }
      const found = async (on: BesideOne['c']): Promise<string[]> => {
        const result = await on.query("SELECT id FROM papers WHERE MATCH (body) AGAINST ('+common +apple' IN BOOLEAN MODE)")
        assert(result.kind === 'rows')
        return result.rows.map(([id]) => String(id)).toSorted()
      }
      assert.deepEqual(await found(sides.c), await found(sides.one))
      assert.equal((await found(sides.c)).length, 3)
    })

    test('promise 10: writes by what a row itself decides are those of one server', async () => {
      await sides.alike("UPDATE papers SET n = n + 10 WHERE MATCH (body) AGAINST ('lonely half' IN BOOLEAN MODE)")
      await sides.alike("UPDATE papers SET n = n + 10 WHERE MATCH (body) AGAINST ('lonely half')")
      await sides.alike('SELECT id, n FROM papers ORDER BY id')
      assert.equal(await sides.code("UPDATE papers SET n = MATCH (body) AGAINST ('lonely')"), 'SW-GATE-100')
      assert.equal(await sides.code("DELETE FROM papers WHERE MATCH (body) AGAINST ('<lonely' IN BOOLEAN MODE)"), 'SW-GATE-100')
      assert.equal(await sides.code("DELETE FROM papers WHERE MATCH (body) AGAINST ('lonely') LIMIT 1"), 'SW-GATE-100')
    })

    test('promise 10: what is sought is read in each execution, as a parameter too', async () => {
      const sql = 'SELECT id FROM papers WHERE MATCH (body) AGAINST (? IN BOOLEAN MODE) ORDER BY id'
      const [c, one] = [await sides.c.prepare(sql), await sides.one.prepare(sql)]
      for (const words of ['+common -apple', 'lonely']) {
        const [mine, theirs] = [await c.execute([words]), await one.execute([words])]
        assert(mine.kind === 'rows' && theirs.kind === 'rows')
        assert.deepEqual(mine.rows, theirs.rows)
      }
      for (const words of ['<lonely', '+common ~apple'])
        await assert.rejects(c.execute([words]), (error) => isServerError(error) && error.serverMessage.startsWith('SW-GATE-100'))
      await sides.c.query("SET @w = '+common ~apple'")
      assert.equal(await sides.code('SELECT id FROM papers WHERE MATCH (body) AGAINST (@w IN BOOLEAN MODE)'), 'SW-GATE-100')
      assert.equal(
        await sides.code("SELECT id FROM papers WHERE MATCH (body) AGAINST (CONCAT('+', 'apple') IN BOOLEAN MODE)"),
        'SW-GATE-100',
      )
    })

    test('on one shard it is as it is', async () => {
      const result = await sides.c.query("SELECT id, MATCH (body) AGAINST ('lonely') > 0 FROM papers WHERE id = 7")
      assert(result.kind === 'rows')
      assert.deepEqual(
        result.rows.map((row) => row.map(String)),
        [['7', '1']],
      )
      await sides.alike("SELECT id FROM papers WHERE id = 4 AND MATCH (body) AGAINST ('apple' IN BOOLEAN MODE)")
    })
  })
}
