/** The verdicts of L4 to L6 as pure judgements: each sound case passes, each harm fails, and what is not enough to judge is unknown. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DDSketch } from '../../ingest/ddsketch.ts'
import { keys } from '../../topology/keys.ts'
import { MemoryStore } from '../../topology/memory.ts'
import type { VdiffReport } from '../../topology/records.ts'
import { judgeFigures, withShardDown } from './capacity.ts'
import { judgeCopied, judgeReport, together } from './copied.ts'
import { judged } from './judged.ts'
import { judgeTimes, withPlans } from './latency.ts'
import { gone } from './offsets.ts'
import { replayable, shapeOf } from './replay.ts'
import type { Answer } from './replay.ts'
import { judgeAnswers } from './shadow-reads.ts'
import { compareSketches, passText } from './sketches.ts'
import type { LadderWorld } from './world.ts'

const answer = (text: string, ok = true): Answer => (ok ? { ok: true, text, rows: 1, ms: 1 } : { ok: false, text, ms: 1 })
const asked = (old: Answer, fresh: Answer, again = old) => ({ sample: { sql: 'SELECT 1', keyspaceId: null }, old, fresh, again })

describe('L4', () => {
  test('equal answers pass; one other answer fails, and is shown', () => {
    const sound = Array.from({ length: 50 }, () => asked(answer('a'), answer('a')))
    assert.equal(judgeAnswers(sound, {}).verdict, 'pass')
    const harmed = judgeAnswers([...sound, asked(answer('a'), answer('b'))], {})
    assert.equal(harmed.verdict, 'fail')
    assert.equal(harmed.findings[0]?.new, 'b')
  })
  test('an error on the new branch alone fails', () => {
    assert.equal(judgeAnswers([asked(answer('a'), answer('1146', false))], {}).verdict, 'fail')
  })
  test('where the old branch does not agree with itself nothing is said: noise, and when it is most of them, unknown', () => {
    const noisy = asked(answer('a'), answer('b'), answer('c'))
    assert.equal(judgeAnswers([noisy], {}).verdict, 'unknown')
    assert.equal(judgeAnswers([noisy, asked(answer('a'), answer('a')), asked(answer('a'), answer('a'))], {}).verdict, 'pass')
    assert.equal(judgeAnswers([noisy, noisy, asked(answer('a'), answer('a'))], {}).verdict, 'unknown')
  })
  test('nothing compared is unknown', () => assert.equal(judgeAnswers([], {}).verdict, 'unknown'))
})

describe('L5', () => {
  const many = (ms: number, count = 100): number[] => Array.from({ length: count }, (_, i) => ms + (i % 10) / 100)
  test('alike passes; p95 above 1.2 × and the noise fails; fast noise does not', () => {
    assert.equal(judgeTimes([{ shape: 's', old: many(20), fresh: many(21) }], [], 1.2).verdict, 'pass')
    assert.equal(judgeTimes([{ shape: 's', old: many(20), fresh: many(40) }], [], 1.2).verdict, 'fail')
    const failing = { shape: 't', old: many(20), fresh: [], freshFailed: 100 }
    const found = judgeTimes([{ shape: 's', old: many(20), fresh: many(20) }, failing], [], 1.2)
    assert.deepEqual([found.verdict, found.findings[0]?.what], ['fail', 'reads fail'], 'what is not answered is not fast')
    assert.equal(judgeTimes([{ shape: 's', old: many(1), fresh: many(3) }], [], 1.2).verdict, 'pass')
  })
  test('one slow shape among fast ones fails', () => {
    const times = [
      ...Array.from({ length: 30 }, (_, i) => ({ shape: `s${i}`, old: many(10), fresh: many(10) })),
      { shape: 'slow', old: many(10), fresh: many(50) },
    ]
    const found = judgeTimes(times, [], 1.2)
    assert.equal(found.verdict, 'fail')
    assert.equal(found.findings[0]?.where, 'slow')
  })
  test('shapes that could not be explained are counted and told', () => {
    const found = judgeTimes([{ shape: 's', old: many(20), fresh: many(20) }], [], 1.2)
    assert.equal(withPlans(found, 3, 3).because, found.because)
    const some = withPlans(found, 1, 3)
    assert.deepEqual([some.numbers['plansCompared'], some.numbers['plansNotCompared'], some.verdict], [1, 2, 'pass'])
    assert.match(some.because, /plans of 2 of 3 shapes could not be compared/)
  })
  test('an index that is no longer used fails however fast it is; no reads are unknown', () => {
    const lost = { what: 'an index is no longer used', where: 's', old: 'k', new: '' }
    assert.equal(judgeTimes([{ shape: 's', old: many(1), fresh: many(1) }], [lost], 1.2).verdict, 'fail')
    assert.equal(judgeTimes([], [], 1.2).verdict, 'unknown')
  })
})

describe('L6', () => {
  const drain = (r: number, w: number) => ({ ok: true, heldMs: 10_000, drainedMs: 20_000, r, w, backlog: 100n }) as const
  test('the word linear is refused below an efficiency of 0.9', () => {
    assert.equal(judgeFigures(drain(1000, 6000), drain(1000, 3000), 8, 4).numbers['scaling'], 'linear')
    const less = judgeFigures(drain(1000, 5300), drain(1000, 3000), 8, 4)
    assert.equal(less.numbers['scaling'], 'not linear')
    assert.equal(less.numbers['efficiency'], 0.88)
    assert.match(less.because, /not linear/)
  })
  test('a drain that was too quick to be told gives a bound, and no word that it does not reach', () => {
    const quick = (r: number, w: number) => ({ ...drain(r, w), drainedMs: 1400 })
    const word = (fresh: number, old: number, of: { fresh?: true; old?: true }) =>
      judgeFigures((of.fresh ? quick : drain)(1000, fresh), (of.old ? quick : drain)(1000, old), 8, 4)
    const both = word(6000, 3000, { fresh: true, old: true })
    assert.deepEqual([both.verdict, both.numbers['scaling'], both.numbers['efficiency']], ['pass', 'not known', null])
    assert.match(both.because, /sustains at least 6000\/s, 6 ×.*hold them longer: --pause/)
    assert.equal(word(6000, 3000, { fresh: true }).numbers['scaling'], 'linear')
    assert.equal(word(4000, 3000, { fresh: true }).numbers['scaling'], 'not known')
    assert.equal(word(6000, 3000, { old: true }).numbers['scaling'], 'not known')
    assert.equal(word(4000, 3000, { old: true }).numbers['scaling'], 'not linear')
    assert.match(word(4000, 3000, { old: true }).because, /efficiency ≤ 0.67/)
    assert.match(withShardDown(both, '-20', quick(1000, 5000)).because, /with -20 down the others sustain at least 5000\/s/)
  })
  test('no headroom fails; an old branch that was not measured leaves the scaling unknown', () => {
    assert.equal(judgeFigures(drain(1000, 1200), drain(1000, 3000), 8, 4).verdict, 'fail')
    const alone = judgeFigures(drain(1000, 6000), { ok: false, because: 'x' }, 8, 4)
    assert.equal(alone.numbers['scaling'], 'not known')
    assert.equal(alone.numbers['efficiency'], null)
  })
  test('with a shard down: the others’ figure is told; that they stall beside it fails, that it could not be measured is unknown', () => {
    const figures = judgeFigures(drain(1000, 6000), drain(1000, 3000), 8, 4)
    const without = withShardDown(figures, '-20', drain(1000, 5000))
    assert.deepEqual([without.verdict, without.numbers['eventsPerSecondWithShardDown']], ['pass', 5000])
    assert.match(without.because, /with -20 down the others sustain 5000\/s/)
    const stalled = withShardDown(figures, '-20', { ok: false, because: 'its backlog was not drained', stalled: true })
    assert.deepEqual([stalled.verdict, stalled.numbers['eventsPerSecondWithShardDown']], ['fail', null])
    const none = withShardDown(figures, '-20', { ok: false, because: 'producers wrote nothing' })
    assert.equal(none.verdict, 'unknown', 'what was not measured does not pass by the rest')
    assert.match(none.because, /with -20 down: producers wrote nothing/)
    const worse = judgeFigures(drain(1000, 1200), drain(1000, 3000), 8, 4)
    for (const part of [drain(1000, 5000), { ok: false, because: 'producers wrote nothing' }] as const)
      assert.equal(withShardDown(worse, '-20', part).verdict, 'fail', 'what failed before does not pass by it')
  })
})

test('L2 of a hybrid run: copied rows are judged by their comparison; one that did not end says nothing, and the worse verdict stands', () => {
  const table = (found: number) => ({
    name: 'city',
    state: 'done' as const,
    rowsCompared: 10,
    missing: found,
    extra: 0,
    misplaced: 0,
    different: 0,
    samples: found === 0 ? [] : [{ kind: 'missing' as const, key: '7', shard: '-80', columns: [] }],
  })
  const report = (state: VdiffReport['state'], found = 0): VdiffReport =>
    ({
      state,
      endedAtMs: state === 'running' ? null : 5,
      rowsCompared: 10,
      tables: [table(found)],
      waiting: null,
      error: null,
    }) as unknown as VdiffReport
  assert.equal(judgeReport(report('clean')).verdict, 'pass')
  const bad = judgeReport(report('different', 1))
  assert.deepEqual([bad.verdict, bad.findings[0]?.where], ['fail', 'city, key 7, shard -80'])
  for (const none of [null, report('running'), report('stopped'), report('failed')]) assert.equal(judgeReport(none).verdict, 'unknown')
  const fine = judged('pass', 'a')
  assert.equal(together(fine, bad).verdict, 'fail')
  assert.equal(together(judged('unknown', 'a'), judgeReport(report('clean'))).verdict, 'unknown')
  assert.equal(together(fine, null), fine)
})

test('L2 of a hybrid run before its copy has landed is unknown, whether its streams are there or not; a run that copies nothing has no such part', async () => {
  const judge = async (tables: readonly string[], landed: boolean, streams: boolean): Promise<string | null> => {
    const store = new MemoryStore()
    if (streams) await store.commit([], [{ key: `${keys.streamsOf('u')}one`, value: { v: 1 } }])
    const found = await judgeCopied({ store, workflowUid: 'u', copies: { tables, landed } } as unknown as LadderWorld)
    return found === null ? null : `${found.verdict}: ${found.because}`
  }
  assert.equal(await judge([], false, false), null)
  const waiting = 'unknown: copied tables: the copy of city has not landed: nothing can be compared yet'
  assert.equal(await judge(['city'], false, false), waiting)
  assert.equal(await judge(['city'], true, false), waiting, 'streams that are gone compare nothing')
  assert.equal(await judge(['city'], false, true), waiting)
})

test('L3: bytes that differ are not called equal', () => {
  assert.equal(
    passText({ buckets: 40, decoded: 12, differing: 0 }),
    'quantiles of 12 hash ranges of buckets are within their error; the bytes of all 40 are equal',
  )
  assert.match(passText({ buckets: 400, decoded: 99, differing: 90 }), /the bytes of 90 hash ranges of buckets differ within it/)
})

test('L0: a position below the first offset of the topic fails: what lies between is gone', () => {
  assert.deepEqual(gone(10n, 10n, 'x'), [])
  assert.deepEqual(gone(9n, 10n, 'x'), [{ what: 'stands below the first offset that the topic holds', where: 'x', old: '10', new: '9' }])
})

test('L3: the same values in another order are alike; another count or another value is not', () => {
  const values = Array.from({ length: 500 }, (_, i) => 1 + ((i * 37) % 400))
  const a = DDSketch.of(values)
  const b = DDSketch.of(values.slice(0, 250))
  b.merge(DDSketch.of(values.slice(250).reverse()))
  assert.deepEqual(compareSketches(a, b, 0.01).differences, [])
  assert.ok(compareSketches(a, DDSketch.of(values.slice(1)), 0.01).differences.some(({ what }) => what === 'values in the sketch'))
  assert.ok(compareSketches(a, DDSketch.of(values.map((v) => v * 1.1)), 0.01).differences.some(({ what }) => what === 'p95'))
  assert.ok(compareSketches(a, null, 0.01).differences.length > 0)
})

test('only reads are replayed that stay on the branch and depend on nothing but rows', () => {
  assert.ok(replayable('SELECT * FROM hourly WHERE tenant = 5', 'insights'))
  assert.ok(replayable('WITH x AS (SELECT 1) SELECT * FROM x', 'insights'))
  for (const sql of [
    'UPDATE hourly SET calls = 1',
    'SELECT * FROM insights.hourly',
    'SELECT * FROM `insights` . hourly',
    'SELECT * FROM hourly WHERE bucket > NOW() - INTERVAL 1 DAY',
    'SELECT * FROM hourly FOR UPDATE',
    'SELECT SLEEP(1)',
    'SELECT RAND()',
  ])
    assert.equal(replayable(sql, 'insights'), false, sql)
})

test('a shape is the statement without its literals', () => {
  assert.equal(shapeOf('SELECT * FROM t WHERE a = 5 AND b = "x"'), shapeOf('SELECT  *  FROM t WHERE a = 77 AND b = "yy"'))
  assert.notEqual(shapeOf('SELECT a FROM t WHERE a = 5'), shapeOf('SELECT b FROM t WHERE a = 5'))
})
