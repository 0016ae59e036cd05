/**
 * A table that is altered while it is compared: planned anew and compared from its beginning, on both sides of the alteration, and no value of a new column is lost to a repair. A comparison is held where it is, whenever it
 * looks whether a switch is under way, and goes on when the test has done its part.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { besideEachOther } from '../../test/kit/beside.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { connect } from '../mysql/connect.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord, StreamRecord, VdiffRecord, VdiffReport } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, readRecord } from '../topology/typed.ts'
import { alteredSince } from './altered-since.ts'
import { counts, VerifyWorld } from './testkit/world.ts'
import { runVdiff } from './vdiff-run.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

/** Of one comparison of a single chunk: before it is planned, before its chunk is read, before its candidate is settled. */
const looks = { plan: 2, chunk: 3, settle: 4 } as const

/** Ends with the test, however that ends. */
type Run = AsyncDisposable & { done: Promise<VdiffReport>; report: () => Promise<VdiffReport | undefined>; abort: AbortController }

/** `look` is asked with the number of each look for a switch. */
function begin(world: VerifyWorld, asked: Partial<VdiffRecord>, look: (number: number) => Promise<void>): Run {
  const { addresses } = world
  const record: VdiffRecord = {
    v: 1,
    uid: 'run',
    workflowUid: 'flow',
    wanted: 'running',
    tables: null,
    requestedAtMs: 0,
    repair: false,
    ...asked,
  }
  const abort = new AbortController()
  let number = 0
  const store: Store = {
    get: async (key) => {
      if (key === keys.routing('app')) await look(++number)
      return world.store.get(key)
    },
    list: (prefix, except) => world.store.list(prefix, except),
    commit: (conditions, puts) => world.store.commit(conditions, puts),
    watch: (prefix, signal) => world.store.watch(prefix, signal),
    grantLease: (ttlMs) => world.store.grantLease(ttlMs),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  const done = runVdiff({ store, record, addresses, clock: systemClock, log: silentLog, conditions: [], restMs: 100 }, abort.signal)
  const ended = async (): Promise<void> => {
    abort.abort()
    await done.catch(() => undefined)
  }
  return { done, abort, report: () => world.report('run'), [Symbol.asyncDispose]: ended }
}

/** Once, at that look. */
function at(wanted: number, work: () => Promise<void>): (number: number) => Promise<void> {
  return (number) => (number === wanted ? work() : Promise.resolve())
}

besideEachOther('tables that are altered while they are compared', (flavour) => {
  async function worldOf(onDdl: StreamRecord['options']['onDdl']): Promise<{ world: VerifyWorld; source: string; target: string }> {
    const world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-'], onDdl }, servers)
    const source = world.on(world.sources, '-', 'item')
    const target = world.on(world.targets, '-', 'item')
    const rows = Array.from({ length: 20 }, (_, id) => `(${id},${id},'a',NULL,${id})`)
    await world.s.query(`INSERT INTO ${source} VALUES ${rows.join()}`)
    await world.start()
    await world.t.query(`UPDATE ${target} SET a = 'wrong' WHERE id = 7`)
    return { world, source, target }
  }
  const columnsOf = async (world: VerifyWorld): Promise<string[]> =>
    (
      await world.t.allText(
        `SELECT COLUMN_NAME AS c FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '${world.targets[0]!.schema}' AND TABLE_NAME = 'item'`,
      )
    ).map(({ c }) => c ?? '')
  const untilThere = (world: VerifyWorld, sql: string): Promise<void> =>
    world.until(sql, async () => (await world.t.value(sql).catch(() => null)) === '1')

  test(`repair on ${flavour}: a column that comes while rows are compared keeps its values`, async () => {
    const { world, source, target } = await worldOf('exec')
    await using _ = world
    await using run = begin(
      world,
      { repair: true },
      at(looks.settle, async () => {
        await world.s.query(`ALTER TABLE ${source} ADD COLUMN c INT NULL DEFAULT 5`)
        await world.s.query(`UPDATE ${source} SET c = 77 WHERE id = 7`)
        await untilThere(world, `SELECT COUNT(*) FROM ${target} WHERE id = 7 AND c = 77`)
        await world.t.query(`UPDATE ${target} SET a = 'wrong' WHERE id = 7`)
      }),
    )
    const report = await run.done
    assert.deepEqual([report.error, report.state, report.repairedRows, report.rowsCompared], [null, 'clean', 1, 20])
    assert.deepEqual(await world.t.allText(`SELECT a, c FROM ${target} WHERE id = 7`), [{ a: 'a', c: '77' }])
    assert.deepEqual(counts(report), { missing: 0, extra: 0, misplaced: 0, different: 1 })
  })

  test(`vdiff on ${flavour}: one that had ended does not speak for a table that was altered since`, async () => {
    const { world, source, target } = await worldOf('exec')
    await using _ = world
    await using run = begin(world, { repair: true }, () => Promise.resolve())
    const report = await run.done
    assert.equal(report.state, 'clean')
    const streams = (await listRecords<StreamRecord>(world.store, keys.streamsOf('flow'))).map(({ value }) => value)
    const routing = (await readRecord<RoutingRecord>(world.store, keys.routing('app')))?.value
    assert(routing !== undefined)
    const altered = (): Promise<string[]> =>
      alteredSince({ streams, routing, reports: [report] }, [{ table: 'item', vdiff: 'run' }], (serverId, work) =>
        work(serverId === world.sources[0]?.serverId ? world.s : world.t),
      )
    assert.deepEqual(await altered(), [])
    await world.s.query(`ALTER TABLE ${source} ADD COLUMN c INT NULL DEFAULT 5`)
    await untilThere(world, `SELECT COUNT(DISTINCT c) FROM ${target}`)
    assert.deepEqual(await altered(), ['item'])
  })

  test(`vdiff on ${flavour}: a column that both sides were given by hand while rows were compared is compared too`, async () => {
    const { world, source, target } = await worldOf('ignore')
    await using _ = world
    await using run = begin(
      world,
      {},
      at(looks.settle, async () => {
        for (const [conn, table] of [
          [world.t, target],
          [world.s, source],
        ] as const)
          await conn.query(`ALTER TABLE ${table} ADD COLUMN c INT NULL`)
        await world.s.query(`UPDATE ${source} SET c = 6 WHERE id = 3`)
        await untilThere(world, `SELECT COUNT(*) FROM ${target} WHERE id = 3 AND c = 6`)
        await world.t.query(`UPDATE ${target} SET c = 9 WHERE id = 3`)
        await world.t.query(`UPDATE ${target} SET a = 'a' WHERE id = 7`)
      }),
    )
    const report = await run.done
    assert.deepEqual([report.error, report.state, report.rowsCompared], [null, 'different', 20])
    assert.deepEqual(
      report.tables[0]?.samples.map(({ key, columns }) => [key, columns]),
      [['3', ['c']]],
    )
  })

  for (const continuous of [false, true])
    test(`vdiff on ${flavour}, continuous: ${continuous}: a column that is dropped or renamed between plan and read, or read and last word, ends in a new plan`, async () => {
      const { world, source } = await worldOf('exec')
      await using _ = world
      const statements = new Map<number, string>([
        [looks.chunk, 'DROP COLUMN b'],
        // Of the second attempt: two for its plan, one for its chunk.
        [looks.chunk + looks.settle, 'RENAME COLUMN a TO aa'],
      ])
      await using run = begin(world, continuous ? { continuous } : {}, async (number) => {
        const statement = statements.get(number)
        if (statement !== undefined) await world.s.query(`ALTER TABLE ${source} ${statement}`)
      })
      if (continuous) {
        await world.until('whole passes', async () => {
          const report = await run.report()
          return (report?.pass?.number ?? 0) > 2 || (report?.endedAtMs ?? null) !== null
        })
        run.abort.abort()
      }
      const report = await run.done
      assert.deepEqual([report.error, report.state], [null, continuous ? 'running' : 'different'])
      const found = continuous ? report.tables[0]?.last?.found : counts(report).different
      assert.equal(found, 1)
      assert.deepEqual((await columnsOf(world)).sort(), ['aa', 'id', 'n', 'owner'])
    })

  test(`continuous vdiff on ${flavour}: a pass that begins while a target is still being altered waits for it, and compares the new column`, async () => {
    const { world, source, target } = await worldOf('exec')
    await using _ = world
    await using reader = await connect(world.target.config)
    await world.t.query(`UPDATE ${target} SET a = 'a' WHERE id = 7`)
    // A pass that finds nothing looks once more, at its end; the next one begins.
    await using run = begin(
      world,
      { continuous: true },
      at(looks.chunk + 2, async () => {
        await reader.query('BEGIN')
        await reader.query(`SELECT COUNT(*) FROM ${target}`)
        await world.s.query(`ALTER TABLE ${source} ADD COLUMN c INT NULL DEFAULT 5`)
      }),
    )
    await world.until('the wait for the target', async () => {
      const report = await run.report()
      assert.equal(report?.error ?? null, null)
      return /past the DDL.*column c of table item is missing on -/.test(report?.waiting ?? '')
    })
    await reader.query('ROLLBACK')
    reader.destroy()
    await untilThere(world, `SELECT COUNT(*) FROM ${target} WHERE id = 3 AND c = 5`)
    await world.t.query(`UPDATE ${target} SET c = 9 WHERE id = 3`)
    await world.until('what differs in the new column', async () => (await run.report())?.tables[0]?.last?.found === 1)
    run.abort.abort()
    assert.deepEqual([(await run.done).state, (await run.done).error], ['running', null])
  })

  test(`vdiff on ${flavour}: a table that is altered again and again is given up, with a code; one that lacks a column for good is told at once`, async () => {
    const { world, target } = await worldOf('stop')
    await using _ = world
    let altering = true
    await using run = begin(world, {}, async (number) => {
      if (altering) await world.t.query(`ALTER TABLE ${target} ADD COLUMN x${number} INT NULL`)
    })
    const report = await run.done
    assert.deepEqual([report.state, report.error?.code], ['failed', 'SW-VERIFY-013'])
    assert.match(report.error?.what ?? '', /definition of table item on - changed/)

    altering = false
    await world.t.query(`ALTER TABLE ${target} DROP COLUMN b`)
    await using again = begin(world, { uid: 'lacking' }, () => Promise.resolve())
    const lacking = await again.done
    assert.deepEqual([lacking.state, lacking.error?.code], ['failed', 'SW-VERIFY-003'])
  })

  test(`vdiff of several sources on ${flavour}: a column that one of them has and another lacks is told, and not left out`, async () => {
    const options = { flavour, sources: ['-80', '80-'], targets: ['-'], onDdl: 'ignore' as const }
    await using world = await VerifyWorld.create(options, servers)
    await world.start()
    await world.t.query(`ALTER TABLE ${world.on(world.targets, '-', 'item')} ADD COLUMN c INT NULL`)
    await world.s.query(`ALTER TABLE ${world.on(world.sources, '80-', 'item')} ADD COLUMN c INT NULL`)
    const lacking = await world.vdiff()
    assert.deepEqual([lacking.error?.code, lacking.error?.what], ['SW-VERIFY-003', 'column c of table item is missing on -80'])
    await world.s.query(`ALTER TABLE ${world.on(world.sources, '-80', 'item')} ADD COLUMN c INT NULL`)
    assert.deepEqual([(await world.vdiff()).state], ['clean'])
  })
})
