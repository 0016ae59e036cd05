/** Promises 1 and 4 of this room, rule by rule: what settling waits for, what it locks, and what it leaves for later. A stream is played by the test. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { besideEachOther } from '../../test/kit/beside.ts'
import { systemClock } from '../base/clock.ts'
import { readSourceTables } from '../move/source-tables.ts'
import { connect } from '../mysql/connect.ts'
import { isServerError } from '../mysql/errors.ts'
import { planComparison, readDefinitions, readEstimates } from './comparison.ts'
import { shardGroups } from './groups.ts'
import { Sessions } from './sessions.ts'
import { settle, type Mode, type Settled } from './settle.ts'
import { itemTable, VerifyWorld } from './testkit/world.ts'

besideEachOther('the last word on a row', (flavour) => {
  test(`settling on ${flavour}: after the marker, under locks that keep the row as it is, and only what it holds`, async () => {
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-'] })
    const source = world.on(world.sources, '-', 'item')
    const target = world.on(world.targets, '-', 'item')
    await world.t.useDatabase(world.targets[0]!.schema)
    await world.t.query(itemTable.ddl)
    for (const [conn, table] of [
      [world.s, source],
      [world.t, target],
    ] as const)
      await conn.query(`INSERT INTO ${table} VALUES (1, 1, 'a', NULL, 1), (9, 9, 'a', NULL, 1)`)
    const abort = new AbortController()
    await using sessions = new Sessions({ addresses: world.addresses, clock: systemClock, perServerMax: 4, signal: abort.signal })
    const use: Sessions['reader'] = (id, work) => sessions.reader(id, work)
    const shards = [...world.sources, ...world.targets]
    const [group] = shardGroups(world.streams())
    const [table] = await readSourceTables(world.s, '-', world.sources[0]!.schema, world.streams()[0]!.tables)
    const comparison = planComparison(group!, table!, await readDefinitions(shards, use), await readEstimates(shards, use), new Map())
    const client = await connect({ ...world.source.config, sessionSql: ['SET SESSION innodb_lock_wait_timeout=1'] })

    /** Settles; `meanwhile` runs while the marker is waited for, as the stream and others would. */
    const run = (keys: string[], mode: Mode, meanwhile: () => Promise<boolean>): Promise<Settled> =>
      settle(
        {
          comparison,
          sessions,
          reports: { applied: meanwhile },
          clock: systemClock,
          holdMs: 5_000,
          stillServing: () => Promise.resolve(),
          repair: null,
        },
        keys,
        mode,
      )
    const told = (settled: Settled): string[] =>
      settled.kind === 'behind'
        ? ['behind']
        : settled.outcomes.map((outcome) =>
            outcome.kind === 'settled' ? outcome.findings.map(({ kind }) => kind).join('+') || 'same' : outcome.kind,
          )
    const refused = async (sql: string): Promise<boolean> =>
      client.query(sql).then(
        () => false,
        (error: unknown) => isServerError(error) && error.kind === 'lockWait',
      )

    // In motion: the target has it when it has come to the marker, and not before.
    await world.s.query(`UPDATE ${source} SET n = 2 WHERE id = 1`)
    const marked = Number(await world.s.value('SELECT n FROM _shardwright.control_marker'))
    assert.deepEqual(
      told(
        await run(['1'], 'many', async () => {
          assert.equal(Number(await world.s.value('SELECT n FROM _shardwright.control_marker')), marked + 1, 'a marker was written')
          assert.ok(await refused(`UPDATE ${source} SET n = 3 WHERE id = 1`), 'the row is locked meanwhile')
          assert.ok(!(await refused(`UPDATE ${source} SET n = n WHERE id = 9`)), 'and no other')
          assert.ok(!(await refused(`INSERT INTO ${source} VALUES (2, 2, NULL, NULL, NULL)`)), 'nor a gap')
          await world.t.query(`UPDATE ${target} SET n = 2 WHERE id = 1`)
          await world.t.query(`INSERT INTO ${target} VALUES (2, 2, NULL, NULL, NULL)`)
          return true
        }),
      ),
      ['same'],
    )
    assert.ok(!(await refused(`UPDATE ${source} SET n = 2 WHERE id = 1`)), 'the lock is gone afterwards')

    // Nor is the table altered meanwhile, whether it has the row or not: what a repair would write is of the table that was looked at.
    await client.query('SET SESSION lock_wait_timeout=1')
    for (const mode of ['many', 'gaps', 'alone'] as const)
      for (const key of ['1', '8'])
        await run([key], mode, async () => {
          assert.ok(await refused(`ALTER TABLE ${source} ADD COLUMN late INT`), `no DDL under ${mode} on ${key}`)
          return true
        })

    // Not there in time: nothing is said, and the locks are gone.
    assert.deepEqual(told(await run(['1'], 'many', () => Promise.resolve(false))), ['behind'])
    assert.ok(!(await refused(`UPDATE ${source} SET n = 2 WHERE id = 1`)))

    // Only on the target: believed only when nobody can insert it.
    await world.t.query(`INSERT INTO ${target} VALUES (5, 5, NULL, NULL, NULL)`)
    assert.deepEqual(told(await run(['5'], 'many', () => Promise.resolve(true))), ['absent'])
    for (const mode of ['gaps', 'alone'] as const) {
      assert.deepEqual(
        told(
          await run(['5', '1'].slice(0, mode === 'alone' ? 1 : 2), mode, async () => {
            assert.ok(await refused(`INSERT INTO ${source} VALUES (5, 5, NULL, NULL, NULL)`), 'the gap is locked')
            return true
          }),
        ),
        mode === 'alone' ? ['extra'] : ['extra', 'same'],
      )
    }

    // Deleted, and inserted again by a transaction that commits while the marker is waited for: the target has a live row, and never an extra one.
    for (const mode of ['many', 'gaps', 'alone'] as const) {
      await world.s.query(`DELETE FROM ${source} WHERE id = 7`)
      await world.t.query(`DELETE FROM ${target} WHERE id = 7`)
      await client.query('BEGIN')
      await client.query(`INSERT INTO ${source} VALUES (7, 7, 'b', NULL, 1)`)
      const outcome = await run(['7'], mode, async () => {
        await client.query('COMMIT')
        await world.t.query(`INSERT INTO ${target} VALUES (7, 7, 'b', NULL, 1)`)
        return true
      })
      assert.deepEqual(told(outcome), [mode === 'many' ? 'absent' : 'locked'])
      await client.query('ROLLBACK')
    }

    // Held by a client: neither waited for nor taken for absent; alone it is waited for, and given up after a second.
    await client.query('BEGIN')
    await client.query(`SELECT * FROM ${source} WHERE id = 1 FOR UPDATE`)
    assert.deepEqual(told(await run(['1', '9'], 'many', () => Promise.resolve(true))), ['locked', 'same'])
    assert.deepEqual(told(await run(['1', '9'], 'gaps', () => Promise.resolve(true))), ['locked', 'locked'], 'all or nothing')
    assert.deepEqual(told(await run(['1'], 'alone', () => Promise.resolve(true))), ['locked'])
    await client.query('ROLLBACK')
    assert.deepEqual(told(await run(['1'], 'alone', () => Promise.resolve(true))), ['same'])

    client.destroy()
  })
})
