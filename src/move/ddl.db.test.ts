/**
 * PROTOCOLS 1.13, every cell of docs/ddl.md: what a statement on a moved table does to a stream, in the copy and after it, by --on-ddl. Events before
 * the statement are decoded under the old definition, also by a run that begins after it. SHARDWRIGHT_DDL_ALL=1 runs every cell on every server.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { connect } from '../mysql/connect.ts'
import type { PaceLimits, StreamRecord } from '../topology/records.ts'
import { ServerPairs, type ServerPair } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { ddlCells, modes, outcomeOf, phases, type DdlCell } from './testkit/ddl-cells.ts'
import { fill, World } from './testkit/world.ts'

const all = process.env['SHARDWRIGHT_DDL_ALL'] === '1'
const pairs = new ServerPairs()
after(() => pairs[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  describe(`DDL on ${flavour}`, { concurrency: 3 }, () => {
    let servers: ServerPair
    before(async () => {
      servers = await pairs.of(flavour)
    })
    for (const cell of ddlCells) {
      if (cell.hidden === true && flavour === 'mysql') continue
      for (const phase of phases) {
        for (const mode of modes) {
          if (
            !all &&
            (flavour === 'mysql' || phase === 'copying') &&
            !['MODIFY COLUMN (another place)', 'another primary key', 'another type of the primary key'].includes(cell.name)
          )
            continue
          if (!all && !always(flavour, cell.name, phase, mode)) continue
          test(`1.13 ${cell.name}, ${phase}, --on-ddl ${mode}: ${outcomeOf(cell, phase, mode)}`, () =>
            runCell(flavour, servers, cell, phase, mode))
        }
      }
    }
  })
}

/** What `npm test` runs: each statement once, each way to stop or to go on once, the old definition on both servers. */
function always(flavour: string, name: string, phase: string, mode: string): boolean {
  if (name === 'MODIFY COLUMN (another place)') return phase === 'following' || flavour === 'mariadb'
  if (flavour === 'mysql') return false
  if (name === 'another primary key') return mode !== 'stop'
  if (name === 'another type of the primary key') return mode === 'exec' || phase === 'following'
  if (phase === 'copying') return false
  if (mode === 'ignore')
    return [
      'ADD COLUMN, the targets not altered',
      'MODIFY COLUMN (another type), the targets not altered',
      'DROP COLUMN',
      'RENAME COLUMN',
      'DROP INDEX (unique)',
      'ADD COLUMN … AS (…) with a unique key, the targets made otherwise',
      'TRUNCATE',
    ].includes(name)
  return mode === 'exec' || name === 'DROP TABLE' || name === 'DROP DATABASE'
}

async function runCell(
  flavour: 'mysql' | 'mariadb',
  servers: ServerPair,
  cell: DdlCell,
  phase: (typeof phases)[number],
  mode: (typeof modes)[number],
): Promise<void> {
  await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, servers)
  await using s = await connect({ ...servers.source.config, database: world.sourceRefs[0]!.schema })
  await fill(world, 0, 60, 600)
  const plain = world.record(0)
  const record: StreamRecord = { ...plain, options: { ...plain.options, onDdl: mode } }
  let pace: Partial<PaceLimits> = phase === 'copying' ? { pausedUntilMs: Date.now() + 1e9 } : {}
  let running = world.start(record, { pace: () => pace })
  if (phase === 'copying') await world.until('copying', () => running.stream.report().state === 'copying')
  else await world.untilRunning(record.uid)
  const onTargets = async (sql: string | undefined): Promise<void> => {
    for (const { schema } of sql === undefined ? [] : world.targetRefs) await world.t.query((sql as string).replaceAll('@', schema))
  }
  if (mode === 'ignore') await onTargets(cell.targetsBefore)

  // The stream is away while it happens: its next run meets rows of the old definition after the source has the new one.
  await running.stop()
  await s.query('UPDATE item SET v = id * 2, owner = owner + 1')
  const sums = await sumsOf(s, [world.sourceRefs[0]!.schema])
  if (cell.session !== undefined) await s.query(cell.session)
  await s.query(cell.sql.replaceAll('@', world.sourceRefs[0]!.schema))
  if (cell.after !== null) await s.query(cell.after)
  world.reports.clear()
  running = world.start(record, { pace: () => pace })

  const outcome = outcomeOf(cell, phase, mode)
  if (outcome !== 'goes on') {
    await running.done
    const report = world.reports.get(record.uid)
    assert.equal(report?.state, 'failed')
    assert.match(
      report?.error?.code ?? '',
      outcome === 'stops' ? (cell.stands === true ? /SW-MOVE-039/ : /SW-MOVE-002/) : /SW-MOVE-0(29|30|37|38)/,
      report?.error?.what,
    )
    if (outcome === 'stops' && cell.stands !== true) assert.match(report?.error?.what ?? '', new RegExp(cell.sql.slice(0, 10)))
    if (phase === 'following' && cell.stands !== true && (outcome === 'stops' || mode === 'stop')) {
      assert.deepEqual(
        await sumsOf(
          world.t,
          world.targetRefs.map(({ schema }) => schema),
        ),
        sums,
        'everything before it is applied, under the old definition',
      )
    }
    if (outcome === 'stops') return
    await onTargets(cell.targetsAfter)
    world.reports.clear()
    running = world.start({ ...record, generation: record.generation + 1 }, { pace: () => pace })
  }
  pace = {}
  await world.untilRunning(record.uid)
  await world.drain(record.uid)
  const compared = mode === 'ignore' && cell.sql.includes('DROP COLUMN') ? null : await world.assertEqual()
  if (compared !== null) assert.ok(compared > 0)
  await running.stop()
}

async function sumsOf(conn: World['s'], schemas: readonly string[]): Promise<string[]> {
  const union = schemas.map((schema) => `SELECT id, owner, name, v FROM ${schema}.item`).join(' UNION ALL ')
  const row = (
    await conn.allText(`SELECT COUNT(*) AS n, SUM(id) AS id, SUM(owner) AS owner, SUM(v) AS v, SUM(LENGTH(name)) AS name FROM (${union}) t`)
  )[0]
  return Object.entries(row ?? {}).map(([name, value]) => `${name} ${value}`)
}
