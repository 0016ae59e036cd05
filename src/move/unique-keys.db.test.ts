/** PROTOCOLS 1.5: unique keys that only a target has would let REPLACE remove rows. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type ServerPair, ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { quoteQualified } from '../sql/quote.ts'
import { fill, World } from './testkit/world.ts'
import { keysOfTargetOnly, uniqueKeys } from './unique-keys.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  const on = (): Promise<ServerPair> => servers.of(flavour)

  test(`1.5 on ${flavour}: unique keys are told by columns, lengths and expressions; more of a key than the source has is well, less is not`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    const [schema] = world.sourceRefs.map((ref) => ref.schema)
    const read = async (name: string, keys: string) => {
      await world.s.query(`CREATE TABLE ${name} (id INT NOT NULL, Mail VARCHAR(60) NOT NULL, n INT NULL, PRIMARY KEY (id)${keys})`)
      return (await uniqueKeys(world.s, schema!)).get(name) ?? []
    }
    const source = await read('source', ', UNIQUE KEY m (Mail(20)), UNIQUE KEY two (Mail, n), KEY plain (n)')
    const lacking = async (name: string, keys: string): Promise<string[]> =>
      keysOfTargetOnly(source, await read(name, keys)).map((key) => key.name)
    assert.deepEqual(await lacking('none', ''), [])
    assert.deepEqual(await lacking('same', ', UNIQUE KEY other (mail(20)), UNIQUE KEY x (n, Mail)'), [])
    assert.deepEqual(await lacking('longer', ', UNIQUE KEY a (Mail), UNIQUE KEY b (Mail(30)), UNIQUE KEY c (n, id)'), [])
    assert.deepEqual(await lacking('shorter', ', UNIQUE KEY a (Mail(10)), UNIQUE KEY b (n)'), ['a', 'b'])
    if (flavour === 'mysql') {
      assert.deepEqual(await lacking('made', ', UNIQUE KEY a ((n + 1)), UNIQUE KEY b ((n + 1), Mail)'), ['a'])
      const made = await read('made2', ', UNIQUE KEY a ((n + 1))')
      assert.deepEqual(
        keysOfTargetOnly(made, await read('made3', ', UNIQUE KEY b ((n + 1)), UNIQUE KEY c ((n + 2))')).map(({ name }) => name),
        ['c'],
      )
    }
  })

  test(`1.5 on ${flavour}: a stream does not begin on a table with a unique key of its own, and stops when the source gives one up`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    await fill(world, 0, 20, 100)
    const item = quoteQualified(world.targetRefs[0]!.schema, 'item')
    await world.t.query(world.tables[0]!.ddl.replace('TABLE item', `TABLE ${item}`).replace('KEY v (v)', 'UNIQUE KEY mine (name)'))
    const record = world.record(0)
    const told = async (generation: number, onDdl: 'stop' | 'ignore' | 'exec'): Promise<string> => {
      world.reports.delete(record.uid)
      world.start({ ...record, generation, options: { ...record.options, onDdl } })
      await world.until('failure', () => world.state(record.uid) === 'failed')
      const error = world.reports.get(record.uid)?.error
      return `${error?.code} ${error?.what}`
    }
    assert.match(await told(1, 'stop'), /SW-MOVE-038 .*mine \(name\)/)
    await world.t.query(`DROP INDEX mine ON ${item}`)
    world.reports.delete(record.uid)
    const running = world.start({ ...record, generation: 2, options: { ...record.options, onDdl: 'ignore' } })
    await world.untilRunning(record.uid)
    await world.s.query('UPDATE item SET u = id')
    await world.drain(record.uid)
    await running.stop()
    // Given up on the source while the stream is away: it ends when it has come to the statement, and not before.
    await world.s.query('UPDATE item SET v = 5 WHERE id = 0')
    await world.s.query('DROP INDEX u ON item')
    await world.s.query("INSERT INTO item VALUES (9000, 1, 5, 'second', 1)")
    assert.match(await told(3, 'ignore'), /SW-MOVE-038 .*u \(u\)/)
    assert.equal(await world.t.value(`SELECT COUNT(*) FROM ${item} WHERE v = 5 AND id = 0`), '1', 'what came before is applied')
    assert.equal(await world.t.value(`SELECT COUNT(*) FROM ${item}`), '20', 'and no row is gone')
    await world.t.query(`DROP INDEX u ON ${item}`)
    world.reports.delete(record.uid)
    const again = world.start({ ...record, generation: 4, options: { ...record.options, onDdl: 'ignore' } })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 21)
    await again.stop()
  })
}
