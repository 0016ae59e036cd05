/**
 * The ladder on two branches that real consumers filled: each rung passes on sound branches, and each fails when the harm that it looks for is
 * done on purpose. Nothing may be `pass` that was not compared (promise 6).
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { besideEachOther } from '../../../test/kit/beside.ts'
import { mainFlavour } from '../../../test/kit/servers.ts'
import { systemClock } from '../../base/clock.ts'
import { DDSketch } from '../../ingest/ddsketch.ts'
import { keys } from '../../topology/keys.ts'
import type { FleetRecord, PurgeRecord } from '../../topology/dualwrite-records.ts'
import { readRecord, updateRecord } from '../../topology/typed.ts'
import { noIngestFailpoints } from '../../ingest/crash-points.ts'
import { allTables } from '../../ingest/definition.ts'
import { purgeTable } from '../../ingest/purge.ts'
import { connect } from '../../mysql/connect.ts'
import { withAligned } from './align.ts'
import { BucketRound } from './bucket-round.ts'
import { judgeOffsets } from './offsets.ts'
import { readApplied } from './positions.ts'
import type { Judged } from './judged.ts'
import type { Answer } from './replay.ts'
import { judgeAnswers, judgeReads } from './shadow-reads.ts'
import { definition, TwoBranches } from './testkit/two-branches.ts'

const wide = ['-40', '40-80', '80-c0', 'c0-'] as const

besideEachOther('ladder', (flavour) => {
  /** How consumers are aligned, paused and measured: no server has a part in it. */
  const once = { skip: !mainFlavour().includes(flavour) && 'on one flavour' }
  let world: TwoBranches

  before(async () => {
    world = await TwoBranches.create({ flavour })
    await world.produce(3000, 6)
    world.startFleet('main')
    world.startFleet('wide')
    await world.untilCaughtUp('main', 'wide')
  })
  after(async () => {
    await world[Symbol.asyncDispose]()
  })

  async function whileProducing(count: number, everyMs: number, work: () => Promise<void>): Promise<void> {
    const stop = new AbortController()
    const producing = (async () => {
      while (!stop.signal.aborted) {
        await world.produce(count, 1)
        await systemClock.sleep(everyMs)
      }
    })()
    try {
      await work()
    } finally {
      stop.abort()
      await producing
    }
  }

  /** Does harm by SQL, runs the rung, and takes the harm back. */
  const harmed = async (rung: 'L0' | 'L1' | 'L2' | 'L3', harm: string, undo: string): Promise<ReturnType<TwoBranches['rung']>> => {
    const done = await world.sql.query(harm)
    assert.ok(done.kind === 'ok' && done.affectedRows > 0n, `the harm changed nothing: ${harm}`)
    try {
      return await world.rung(rung)
    } finally {
      await world.sql.query(undo)
    }
  }
  /** A shard of the new branch with such rows, and one row of it. */
  const rowOf = async (table: string, columns: string, order = ''): Promise<{ at: string; row: Record<string, string | null> }> => {
    for (const shard of wide) {
      const at = world.at('wide', shard, table)
      const row = (await world.sql.allText(`SELECT ${columns} FROM ${at} ${order} LIMIT 1`))[0]
      if (row !== undefined) return { at, row }
    }
    return assert.fail(`no rows in ${table}`)
  }

  test('sound branches: L0 to L3 pass, with figures that say what was compared', async () => {
    for (const rung of ['L0', 'L1', 'L2', 'L3'] as const) {
      const evidence = await world.rung(rung)
      assert.equal(evidence.verdict, 'pass', `${rung}: ${evidence.because} ${JSON.stringify(evidence.findings)}`)
      assert.equal(evidence.rung, rung)
    }
    const sums = await world.rung('L1')
    assert.ok(Number(sums.numbers['buckets']) >= 10, JSON.stringify(sums.numbers))
    assert.ok(Number(sums.numbers['rows']) > 500)
  })

  test('L0 fails when a position was moved by hand', async () => {
    const where = `shard_uid = 'wide:-40' AND partition_no = 1`
    const evidence = await harmed(
      'L0',
      `UPDATE _shardwright.ingest_position SET next_offset = next_offset - 5 WHERE ${where}`,
      `UPDATE _shardwright.ingest_position SET next_offset = next_offset + 5 WHERE ${where}`,
    )
    assert.equal(evidence.verdict, 'fail')
    assert.match(JSON.stringify(evidence.findings), /taken is not next − start/)
  })

  test('L0 fails past the end of the topic, at another start, and below the first offset that is held', async () => {
    const past = await harmed(
      'L0',
      `UPDATE _shardwright.ingest_position SET next_offset = next_offset + 5, taken = taken + 5 WHERE shard_uid = 'main:80-' AND partition_no = 0`,
      `UPDATE _shardwright.ingest_position SET next_offset = next_offset - 5, taken = taken - 5 WHERE shard_uid = 'main:80-' AND partition_no = 0`,
    )
    assert.match(JSON.stringify(past.findings), /past the end of the topic/)
    const start = await harmed(
      'L0',
      `UPDATE _shardwright.ingest_position SET start_offset = start_offset + 1, taken = taken - 1 WHERE shard_uid = 'main:80-' AND partition_no = 0`,
      `UPDATE _shardwright.ingest_position SET start_offset = start_offset - 1, taken = taken + 1 WHERE shard_uid = 'main:80-' AND partition_no = 0`,
    )
    assert.match(JSON.stringify(start.findings), /begins elsewhere/)
    const forgotten = await world.ladder((ladder) =>
      judgeOffsets({
        ...ladder,
        async openTopic(url) {
          const topic = await ladder.openTopic(url)
          const ends = await topic.endOffsets()
          topic.startOffsets = async () => new Map([...ends].map(([partition, end]) => [partition, end + (partition === 1 ? 1n : 0n)]))
          return topic
        },
      }),
    )
    assert.equal(forgotten.verdict, 'fail')
    assert.match(JSON.stringify(forgotten.findings), /below the first offset/)
  })

  test('L1 fails on a wrong sum, on a lost row, and on a value moved from one key to another though every sum stays', async () => {
    const { at, row } = await rowOf('hourly', 'tenant, print, CAST(bucket AS CHAR) AS bucket, total_rows')
    const where = `tenant = ${row['tenant']} AND print = ${row['print']} AND bucket = '${row['bucket']}'`
    const sum = await harmed(
      'L1',
      `UPDATE ${at} SET total_rows = total_rows + 1 WHERE ${where}`,
      `UPDATE ${at} SET total_rows = total_rows - 1 WHERE ${where}`,
    )
    assert.equal(sum.verdict, 'fail')
    assert.match(JSON.stringify(sum.findings), /sum of total_rows/)
    assert.match(JSON.stringify(sum.findings), new RegExp(`key ${row['tenant']}, ${row['print']}`))

    await world.sql.query(`CREATE TABLE _shardwright.kept AS SELECT * FROM ${at} WHERE ${where}`)
    const lost = await harmed('L1', `DELETE FROM ${at} WHERE ${where}`, `INSERT INTO ${at} SELECT * FROM _shardwright.kept`)
    await world.sql.query('DROP TABLE _shardwright.kept')
    assert.equal(lost.verdict, 'fail')

    const other = (
      await world.sql.allText(`SELECT tenant, print FROM ${at} WHERE bucket = '${row['bucket']}' AND NOT (${where}) LIMIT 1`)
    )[0]
    assert.ok(other !== undefined)
    const moved = (sign: string): string =>
      `UPDATE ${at} SET total_rows = total_rows ${sign} (CASE WHEN ${where} THEN 1 ELSE -1 END) WHERE bucket = '${row['bucket']}' AND ((${where}) OR (tenant = ${other['tenant']} AND print = ${other['print']}))`
    const swapped = await harmed('L1', moved('+'), moved('-'))
    assert.equal(swapped.verdict, 'fail', 'the digest of roll-ups sees what sums do not')
    assert.doesNotMatch(JSON.stringify(swapped.findings), /sum of/)
  })

  test('L2 fails on one wrong 1:1 row and names it; L1 of the same harm does not see it', async () => {
    const { at, row } = await rowOf('slow', 'tenant, part, at_offset, ms')
    const where = `tenant = ${row['tenant']} AND part = ${row['part']} AND at_offset = ${row['at_offset']}`
    const harm = `UPDATE ${at} SET ms = ms + 1 WHERE ${where}`
    const undo = `UPDATE ${at} SET ms = ms - 1 WHERE ${where}`
    const evidence = await harmed('L2', harm, undo)
    assert.equal(evidence.verdict, 'fail')
    assert.match(JSON.stringify(evidence.findings), new RegExp(`key ${row['tenant']}, ${row['part']}, ${row['at_offset']}`))
    assert.equal((await harmed('L1', harm, undo)).verdict, 'pass')
  })

  test('quick looks go round: a wrong row of the oldest bucket is seen though the newest are compared each time', once, async () => {
    const sums = await world.rung('L2')
    const looks = Math.ceil(Number(sums.numbers['buckets']) / 2)
    assert.ok(looks >= 2, JSON.stringify(sums.numbers))
    const { at, row } = await rowOf('slow', 'tenant, part, at_offset, at', 'ORDER BY slow.at')
    const change = (sign: string): string =>
      `UPDATE ${at} SET ms = ms ${sign} 1 WHERE tenant = ${row['tenant']} AND part = ${row['part']} AND at_offset = ${row['at_offset']}`
    await world.sql.query(change('+'))
    try {
      assert.equal((await world.rung('L2', { bucketsMax: 1 })).verdict, 'pass', 'the newest bucket is sound')
      const round = new BucketRound(2)
      const verdicts: string[] = []
      for (let look = 0; look < looks; look++) verdicts.push((await world.rung('L2', { bucketsMax: 1, round })).verdict)
      assert.equal(verdicts.at(0), 'pass')
      assert.ok(verdicts.includes('fail'), verdicts.join())
    } finally {
      await world.sql.query(change('-'))
    }
  })

  test('L3 fails on a sketch that holds other values, though sums and counts stay', async () => {
    const { at, row } = await rowOf('hourly', 'tenant, print, CAST(bucket AS CHAR) AS bucket, HEX(times) AS times')
    const where = `tenant = ${row['tenant']} AND print = ${row['print']} AND bucket = '${row['bucket']}'`
    const sketch = DDSketch.decode(Buffer.from(row['times'] ?? '', 'hex'))
    const wrong = DDSketch.of(Array.from({ length: sketch.count }, () => 5000))
    const harm = `UPDATE ${at} SET times = x'${wrong.encode().toString('hex')}' WHERE ${where}`
    const undo = `UPDATE ${at} SET times = x'${row['times']}' WHERE ${where}`
    const evidence = await harmed('L3', harm, undo)
    assert.equal(evidence.verdict, 'fail', evidence.because)
    assert.match(JSON.stringify(evidence.findings), /hourly\.times/)
    assert.equal((await harmed('L1', harm, undo)).verdict, 'pass', 'sketches are the third rung’s')
  })

  test(
    'L1, L2 and L3 fail when the new branch lost the last record of a bucket: it is not left out as one that is not whole',
    once,
    async () => {
      const mark = `FROM _shardwright.ingest_mark WHERE shard_uid LIKE 'wide:%' AND bucket_ms > 0 AND table_name = `
      for (const [table, rungs] of [
        ['hourly', ['L1', 'L3']],
        ['slow', ['L2']],
      ] as const) {
        const [newest] = await world.sql.allText(
          `SELECT bucket_ms AS b, partition_no AS p, MAX(last_offset) AS last ${mark}'${table}' GROUP BY b, p ORDER BY last DESC LIMIT 1`,
        )
        const { b, p, last } = newest!
        const where = `table_name = '${table}' AND bucket_ms = ${b} AND partition_no = ${p}`
        const change = (from: string, to: string): string =>
          `UPDATE _shardwright.ingest_mark SET last_offset = ${to} WHERE shard_uid LIKE 'wide:%' AND ${where} AND last_offset = ${from}`
        for (const rung of rungs) {
          const evidence = await harmed(rung, change(last!, '999999999'), change('999999999', last!))
          assert.equal(evidence.verdict, 'pass', 'what the old branch has not reached says nothing')
          assert.ok(Number(evidence.numbers['bucketsNotComparable']) > 0, JSON.stringify(evidence.numbers))
          // Not that of a record that another shard has: none of this bucket came after.
          const lost = await harmed(rung, change(last!, '0'), change('0', last!))
          assert.deepEqual([lost.verdict, lost.numbers['bucketsLackingRecords']], ['fail', 1], lost.because)
          assert.match(JSON.stringify(lost.findings), new RegExp(`${table}, bucket .*up to offset ${last}`))
        }
      }
    },
  )

  test('rule 11: what is not whole on both branches is not compared, and nothing compared is unknown', async () => {
    // As if the new branch had begun behind the last record: no bucket is whole there.
    const ends = await world.sql.allText(`SELECT partition_no AS p, MAX(next_offset) AS n FROM _shardwright.ingest_position GROUP BY p`)
    const was = (await readRecord<FleetRecord>(world.store, keys.fleet('app@wide')))!.value.startOffsets
    await world.stopFleets()
    await world.fleet('wide', { startOffsets: Object.fromEntries(ends.map((row) => [row['p'] ?? '', row['n'] ?? '0'])) })
    for (const rung of ['L1', 'L2', 'L3'] as const) assert.equal((await world.rung(rung)).verdict, 'unknown')
    await world.fleet('wide', { startOffsets: was })
    // One branch ahead of the other: the newest bucket differs and is rightly left out.
    await world.produce(200, 1)
    world.startFleet('main')
    await world.untilCaughtUp('main')
    const evidence = await world.rung('L1')
    assert.equal(evidence.verdict, 'pass', evidence.because)
    world.startFleet('wide')
    await world.untilCaughtUp('main', 'wide')
    const later = await world.rung('L1')
    assert.equal(later.verdict, 'pass', later.because)
    assert.ok(Number(later.numbers['buckets']) > Number(evidence.numbers['buckets']), JSON.stringify([later.numbers, evidence.numbers]))
  })

  test('purge is held back while rows are compared, and let go after', async () => {
    let heldUntil = 0
    await world.ladder(async (ladder) => {
      const watched = { ...ladder, store: world.store }
      const { withSnapshots } = await import('./snapshot.ts')
      await withSnapshots(watched, async () => {
        heldUntil = (await readRecord<FleetRecord>(world.store, keys.fleet('app@wide')))!.value.purgeHeldUntilMs
      })
    })
    assert.ok(heldUntil > systemClock.nowMs())
    assert.equal((await readRecord<FleetRecord>(world.store, keys.fleet('app@wide')))!.value.purgeHeldUntilMs, 0)
  })

  test('a purge that had begun before the hold and drops rows under the snapshots has them compared again', once, async () => {
    const { withSnapshots } = await import('./snapshot.ts')
    const raise = (): Promise<unknown> =>
      world.sql.query(
        `INSERT INTO _shardwright.ingest_floor (shard_uid, branch_id, table_name, floor_ms) VALUES ('main:-80', 'main-id', 'hourly', 1) ON DUPLICATE KEY UPDATE floor_ms = floor_ms + 1`,
      )
    let looks = 0
    const value = await world.ladder((ladder) =>
      withSnapshots(ladder, async () => {
        if (++looks <= 2) await raise()
        return looks
      }),
    )
    assert.deepEqual([looks, value], [3, 3])
    // One that never comes to rest is not known, and no difference.
    let nowMs = 0
    const clock = { ...systemClock, monotonicMs: () => (nowMs += 10_000) }
    await assert.rejects(
      world.ladder((ladder) => withSnapshots({ ...ladder, clock }, raise)),
      /purged while they were compared/,
    )
  })

  test('L4: what one branch has purged and the other not yet is no difference; without that it is one', once, async () => {
    const rows = async (branch: 'main' | 'wide'): Promise<string> => {
      const shards = branch === 'main' ? ['-80', '80-'] : wide
      const counts = await Promise.all(shards.map((shard) => world.sql.value(`SELECT COUNT(*) FROM ${world.at(branch, shard, 'hourly')}`)))
      return String(counts.reduce((sum, one) => sum + Number(one), 0))
    }
    // What a client's read would be, without a gate: the rows of a side.
    const judge = (): Promise<Judged> =>
      world.ladder((ladder) =>
        judgeReads(ladder, async () => {
          const answer = async (branch: 'main' | 'wide'): Promise<Answer> => ({ ok: true, text: await rows(branch), rows: 1, ms: 1 })
          const [old, fresh, again] = [await answer('main'), await answer('wide'), await answer('main')]
          return judgeAnswers([{ sample: { sql: 'SELECT 1', keyspaceId: null }, old, fresh, again }], {})
        }),
      )
    assert.equal((await judge()).verdict, 'pass')
    const oldest = Number(
      await world.sql.value(`SELECT MIN(bucket_ms) FROM _shardwright.ingest_mark WHERE table_name = 'hourly' AND bucket_ms > 0`),
    )
    const floorMs = oldest + 1000
    // As the fleet of the old branch does, in its own time.
    await updateRecord<PurgeRecord>(world.store, keys.purge('app'), (now) => ({ v: 1, floors: { ...now?.floors, hourly: floorMs } }))
    const before = await rows('main')
    const connection = await connect(world.server.config)
    await connection.query('SET autocommit = 0')
    const hourly = allTables(definition).find(({ table }) => table === 'hourly')!
    for (const shard of ['-80', '80-']) {
      const place = { shard, shardUid: `main:${shard}`, branchId: 'main-id', schema: `main_${shard.replace('-', '_')}` }
      await purgeTable({ connection, ...place, failpoints: noIngestFailpoints }, hourly, floorMs)
    }
    connection.destroy()
    assert.notEqual(await rows('main'), before, 'nothing had expired')
    assert.notEqual(await rows('wide'), await rows('main'), 'the new branch purged too')
    const found = await judge()
    assert.equal(found.verdict, 'pass', found.because)
    assert.equal((await readRecord<FleetRecord>(world.store, keys.fleet('app@wide')))!.value.floorHeldUntilMs, 0)
    const { at, row } = await rowOf('hourly', 'tenant')
    await world.sql.query(`CREATE TABLE _shardwright.kept AS SELECT * FROM ${at} WHERE tenant = ${row['tenant']}`)
    await world.sql.query(`DELETE FROM ${at} WHERE tenant = ${row['tenant']}`)
    try {
      assert.equal((await judge()).verdict, 'fail')
    } finally {
      await world.sql.query(`INSERT INTO ${at} SELECT * FROM _shardwright.kept`)
      await world.sql.query('DROP TABLE _shardwright.kept')
    }
  })

  test('a server that does not answer is unknown, not a failed branch', async () => {
    const evidence = await world.ladder(async (ladder) => {
      const { runRung } = await import('./ladder.ts')
      return runRung('L1', {
        ...ladder,
        new: { ...ladder.new, shards: ladder.new.shards.map((shard) => ({ ...shard, serverId: 'gone' })) },
      })
    })
    assert.equal(evidence.verdict, 'unknown')
  })

  test('L4: both branches stand at one vector while producers go on, and go on after', once, async () => {
    await whileProducing(100, 20, async () => {
      const aligned = await world.ladder((ladder) =>
        withAligned(ladder, async () => {
          const at = async (side: typeof ladder.old, fleets: FleetRecord[]): Promise<string[]> =>
            [...(await readApplied(ladder, side, fleets, 0)).values()].map((vector) =>
              JSON.stringify([...vector].map(([k, v]) => [k, String(v)]).sort()),
            )
          const first = [...(await at(ladder.old, [ladder.pairs[0]!.old])), ...(await at(ladder.new, [ladder.pairs[0]!.new]))]
          await systemClock.sleep(300)
          const second = [...(await at(ladder.old, [ladder.pairs[0]!.old])), ...(await at(ladder.new, [ladder.pairs[0]!.new]))]
          return new Set([...first, ...second])
        }),
      )
      assert.ok(aligned.ok, aligned.ok ? '' : aligned.because)
      assert.equal(aligned.value.size, 1, `shards stood apart: ${[...aligned.value].join(' ')}`)
    })
    assert.equal((await readRecord<FleetRecord>(world.store, keys.fleet('app')))!.value.holdAt, null)
    await world.untilCaughtUp('main', 'wide')
  })

  test('L6 measures by pause and drain; without producers it knows nothing', once, async () => {
    const quiet = await world.rung('L6', { holdMs: 300, alignMsMax: 10_000 })
    assert.equal(quiet.verdict, 'unknown')
    await whileProducing(50, 50, async () => {
      const evidence = await world.rung('L6', { holdMs: 3000, alignMsMax: 20_000, drainMsMax: 60_000 })
      assert.notEqual(evidence.verdict, 'unknown', evidence.because)
      assert.ok(Number(evidence.numbers['newEventsPerSecond']) > Number(evidence.numbers['eventsPerSecond']))
      assert.match(String(evidence.numbers['scaling']), /linear|not known/)
      assert.match(evidence.because, /with \S+ down the others sustain (at least )?\d/)
      assert.ok(Number(evidence.numbers['eventsPerSecondWithShardDown']) > Number(evidence.numbers['eventsPerSecond']))
    })
    const fleet = (await readRecord<FleetRecord>(world.store, keys.fleet('app@wide')))!.value
    assert.deepEqual([fleet.wanted, fleet.heldShard, fleet.paused], ['running', undefined, undefined])
    // The shard that was held takes what came meanwhile.
    await world.untilCaughtUp('main', 'wide')
  })
})
