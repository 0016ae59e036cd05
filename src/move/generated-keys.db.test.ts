/** PROTOCOLS 1.5: values of a unique key that servers make by themselves are made alike on both sides, or REPLACE would remove rows in silence. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type ServerPair, ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { quoteQualified } from '../sql/quote.ts'
import type { PaceLimits, StreamRecord } from '../topology/records.ts'
import { existingTableNotes } from './target-notes.ts'
import { World, type WorldTable } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

const itemOf = (columns: string, keys: string): WorldTable => ({
  name: 'item',
  shardKey: 'owner',
  ddl: `CREATE TABLE item (id BIGINT NOT NULL, owner INT NOT NULL, a INT NOT NULL, ${columns}, PRIMARY KEY (id)${keys})`,
})

/** A world whose target has the table already, perhaps otherwise made, and what its stream says of it. */
async function attachedOn(pair: ServerPair, source: WorldTable, there: WorldTable | null): Promise<string> {
  await using world = await World.create({ flavour: pair.source.flavour, sources: ['-'], targets: ['-'], tables: [source] }, pair)
  const item = quoteQualified(world.targetRefs[0]!.schema, 'item')
  if (there !== null) await world.t.query(there.ddl.replace('TABLE item', `TABLE ${item}`))
  await world.s.query('INSERT INTO item (id, owner, a) VALUES (1, 1, 1), (2, 2, 11)')
  const record = world.record(0)
  const running = world.start(record)
  await world.until('an outcome', () => ['failed', 'running'].includes(world.state(record.uid) ?? ''))
  if (world.state(record.uid) === 'running') {
    await world.s.query('INSERT INTO item (id, owner, a) VALUES (3, 1, 21), (4, 2, 31)')
    await world.drain(record.uid)
  }
  await running.stop()
  const rows = await world.t.value(`SELECT COUNT(*) FROM ${item}`).catch(() => 'no')
  const error = world.reports.get(record.uid)?.error
  return error == null ? `${rows} rows` : `${error.code} ${error.what}; ${rows} rows`
}

const generated = (expression: string, type = 'INT', kind = 'VIRTUAL'): string => `g ${type} AS (${expression}) ${kind}`

for (const flavour of flavours()) {
  const on = (): Promise<ServerPair> => servers.of(flavour)
  const attached = async (source: WorldTable, there: WorldTable | null): Promise<string> => await attachedOn(await on(), source, there)

  test(`1.5 on ${flavour}: a stream does not begin on a table whose unique key is over a generated column that is made otherwise there`, async () => {
    const source = itemOf(generated('a'), ', UNIQUE KEY g (g)')
    assert.match(
      await attached(source, itemOf(generated('a % 10'), ', UNIQUE KEY g (g)')),
      /SW-MOVE-037 column g of item .*a` (%|MOD) 10.* 0 rows/,
    )
    // By way of another one, which no key names.
    const [one, other] = ['a', 'a % 10'].map((expression) =>
      itemOf(`${generated(expression)}, h INT AS (g + 1) STORED`, ', UNIQUE KEY h (h)'),
    )
    assert.match(await attached(one!, other!), /SW-MOVE-037 column g of item .* 0 rows/)
    // Of a type that takes two values for one.
    const half = (type: string): WorldTable => itemOf(generated('a / 20', type), ', UNIQUE KEY g (g)')
    assert.match(await attached(half('DECIMAL(10,4)'), half('DECIMAL(10,0)')), /SW-MOVE-037 column g of item .* 0 rows/)
    if (flavour === 'mysql') {
      const [here, there] = ['a', 'a % 10'].map((expression) => itemOf(generated(expression), ', UNIQUE KEY g ((g + 1))'))
      assert.match(await attached(here!, there!), /SW-MOVE-037 column g of item .* 0 rows/)
    }
  })

  test(`1.5 on ${flavour}: made alike it begins, whatever the one keeps and the other computes; elsewhere than in a unique key it matters to no row`, async () => {
    const key = ', UNIQUE KEY g (g)'
    assert.equal(await attached(itemOf(generated('a'), key), itemOf(generated('`a`', 'INT', 'STORED'), key)), '4 rows')
    assert.equal(await attached(itemOf(generated('a'), ''), itemOf(generated('a % 10'), ', KEY g (g)')), '4 rows')
    // Letters of four bytes in an expression MySQL does not tell: SW-MOVE-043.
    const letters = flavour === 'mysql' ? 'é' : 'é😀'
    const text = generated(`concat(a, 'it''s \\\\ \\\`x\\\` ${letters}')`, 'VARCHAR(40) CHARACTER SET utf8mb4')
    assert.equal(await attached(itemOf(text, key), itemOf(text, key)), '4 rows')
    assert.equal(await attached(itemOf(text, key), null), '4 rows')
  })

  test(`1.12 on ${flavour}: what of a table that stands on a target may refuse rows, or has them read otherwise, is told`, async () => {
    const [source, there] = [itemOf(generated('a'), ', CHECK (a > 0)'), itemOf(generated('a % 10'), ', CHECK (a > 0), CHECK (a < 90)')]
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'], tables: [source] }, on())
    const [from, to] = [world.sourceRefs[0]!.schema, world.targetRefs[0]!.schema]
    await world.t.query(there.ddl.replace('TABLE item', `TABLE ${quoteQualified(to, 'item')}`))
    const notes = await existingTableNotes({ conn: world.s, schema: from }, { conn: world.t, schema: to, name: 'app/-' }, ['item', 'other'])
    assert.equal(notes.length, 2, notes.join('\n'))
    assert.match(notes[0]!, /item of app\/- has CHECK \(.*a` < 90/)
    assert.match(notes[1]!, /column g of item is made of .* on app\/- and of/)
  })

  test(`1.5, 1.13 on ${flavour}: --on-ddl ignore, a generated column in a unique key is made otherwise on the source: the stream stops for the target, and goes on when that makes it so, too`, async () => {
    const table = itemOf(generated('a % 10'), ', UNIQUE KEY g (g)')
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'], tables: [table] }, on())
    const item = quoteQualified(world.targetRefs[0]!.schema, 'item')
    const plain = world.record(0)
    const record: StreamRecord = { ...plain, options: { ...plain.options, onDdl: 'ignore' } }
    const first = world.start(record)
    await world.untilRunning(record.uid)
    await world.s.query('INSERT INTO item (id, owner, a) VALUES (1, 1, 1)')
    await world.drain(record.uid)
    await world.s.query(`ALTER TABLE item MODIFY ${generated('a')}`)
    await world.s.query('INSERT INTO item (id, owner, a) VALUES (2, 2, 11)')
    await first.done
    assert.equal(await world.t.value(`SELECT GROUP_CONCAT(id) FROM ${item}`), '1', 'nothing was removed')
    assert.match(
      `${world.reports.get(record.uid)?.error?.code} ${world.reports.get(record.uid)?.error?.what}`,
      /SW-MOVE-037 column g of item/,
    )
    await world.t.query(`ALTER TABLE ${item} MODIFY ${generated('a')}`)
    world.reports.delete(record.uid)
    const again = world.start({ ...record, generation: 2 })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 2)
    await again.stop()
  })

  test(`1.5, 1.12, 1.13 on ${flavour}: so it does while the key waits for the end of the copy`, async () => {
    const table = itemOf(generated('a % 10'), ', UNIQUE KEY g (g)')
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'], tables: [table] }, on())
    const item = quoteQualified(world.targetRefs[0]!.schema, 'item')
    await world.s.query('INSERT INTO item (id, owner, a) VALUES (1, 1, 1)')
    const plain = world.record(0)
    const record: StreamRecord = { ...plain, options: { ...plain.options, onDdl: 'ignore' } }
    let pace: Partial<PaceLimits> = { pausedUntilMs: Date.now() + 1e9 }
    const first = world.start(record, { pace: () => pace })
    await world.until('copying', () => first.stream.report().state === 'copying')
    await world.s.query(`ALTER TABLE item MODIFY ${generated('a')}`)
    await world.until('an outcome', () => world.state(record.uid) === 'failed', 15_000)
    assert.equal(world.reports.get(record.uid)?.error?.code, 'SW-MOVE-037')
    await first.done
    await world.t.query(`ALTER TABLE ${item} MODIFY ${generated('a')}`)
    world.reports.delete(record.uid)
    pace = {}
    const again = world.start({ ...record, generation: 2 }, { pace: () => pace })
    await world.untilRunning(record.uid)
    await world.s.query('INSERT INTO item (id, owner, a) VALUES (2, 2, 11)')
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 2)
    assert.match((await world.t.allText(`SHOW CREATE TABLE ${item}`))[0]?.['Create Table'] ?? '', /UNIQUE KEY `g`/)
    await again.stop()
  })
}

if (flavours().length === 2)
  for (const from of ['mysql', 'mariadb'] as const)
    test(`1.5, 1.12 from ${from}: the other flavour prints expressions otherwise: it is asked how it prints the source's`, async () => {
      const [one, other] = await Promise.all([servers.of(from), servers.of(from === 'mysql' ? 'mariadb' : 'mysql')])
      const pair = { source: one.source, target: other.target }
      const key = ', UNIQUE KEY g (g)'
      const table = (expression: string, literal = "'its'"): WorldTable => {
        const text = `n VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci AS (lower(concat(a, ${literal}))) STORED`
        const { ddl, ...made } = itemOf(`${generated(expression)}, ${text}`, `${key}, UNIQUE KEY n (n)`)
        return { ...made, ddl: `${ddl} DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci` }
      }
      assert.equal(await attachedOn(pair, table('a % 100'), null), '4 rows')
      assert.equal(await attachedOn(pair, table('a % 100'), table('a MOD 100', from === 'mysql' ? "_utf8mb4'its'" : undefined)), '4 rows')
      assert.match(await attachedOn(pair, table('a % 100'), table('a % 10')), /SW-MOVE-037 column g of item .* 0 rows/)
    })
