/** PROTOCOLS 1.10, 1.14, promise 4: a binlog that the source purged in mid-stream is never passed over: the stream says it with the way out, and begins no more by itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stillAvailable } from '../binlog/position.ts'
import type { Position } from '../binlog/source.ts'
import { until } from '../../test/kit/until.ts'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { fill, World } from './testkit/world.ts'

for (const flavour of flavours()) {
  test(`promise 4, 1.14 on ${flavour}: purged in mid-copy while the stream was away: refused with the way out, rows stay as they were`, async () => {
    await using server = await testServer({ flavour })
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, { source: server, target: server })
    await fill(world, 0, 600, 1000)
    const record = world.record(0)
    // In the midst of the copy: some chunks have landed, others have not.
    const first = world.start(record, { pace: () => ({ copyBytesPerSecondMax: 20_000 }) })
    await world.until('rows of the copy', () => (world.reports.get(record.uid)?.copy.rowsDone ?? 0) > 100)
    await first.stop()
    assert.equal(world.reports.get(record.uid)?.state, 'stopped')
    world.reports.delete(record.uid)
    await world.s.query('UPDATE item SET v = v + 1')
    const position = (await world.t.value(
      `SELECT position FROM _shardwright.move_stream WHERE stream_uid = '${record.uid}' LIMIT 1`,
    )) as Position
    // MariaDB keeps what a dump thread reads; ours ends soon.
    await until('the position to be purged', async () => {
      await world.s.query('FLUSH BINARY LOGS')
      const files = await world.s.allText('SHOW BINARY LOGS')
      await world.s.query(`PURGE BINARY LOGS TO '${files.at(-1)?.['Log_name']}'`)
      return !(await stillAvailable(world.s, position))
    })
    const sums = async (): Promise<(string | null | undefined)[]> =>
      Promise.all(
        world.targetRefs.map(({ schema }) => world.t.value(`SELECT CONCAT(COUNT(*), ' ', COALESCE(SUM(v), 0)) FROM ${schema}.item`)),
      )
    const before = await sums()
    const again = world.start({ ...record, generation: 2 })
    await again.done
    const report = world.reports.get(record.uid)
    assert.equal(report?.state, 'failed')
    assert.equal(report.error?.code, 'SW-BINLOG-004', JSON.stringify(report.error))
    assert.match(report.error.what, /no longer has the binlog that follows our position/)
    assert.match(report.error.fix, /cancel the workflow and create it anew; raise binlog_expire_logs_seconds/)
    assert.deepEqual(await sums(), before, 'nothing was written')
  })
}
