import type { FastifyInstance } from 'fastify'
import { Gauge, Registry, collectDefaultMetrics } from 'prom-client'
import type { World } from '../change/servers.ts'
import { fleetViews } from './dualwrite-view.ts'
import { topologyView } from './status.ts'

/** Prometheus text at /metrics, read from the topology at each scrape: what is unknown has no sample (promise 6). */
export function serveMetrics(http: FastifyInstance, world: World): void {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'shardwright_control_' })
  const gauge = (name: string, help: string, labelNames: string[]): Gauge =>
    new Gauge({ name: `shardwright_${name}`, help, labelNames, registers: [registry] })
  const stream = ['keyspace', 'workflow', 'source', 'direction']
  const lagTransactions = gauge('stream_lag_transactions', 'transactions committed on the source and not yet applied', stream)
  const lagBytes = gauge('stream_lag_bytes', 'bytes of the source’s binlog not yet applied', stream)
  const catchUp = gauge('stream_catch_up_eta_seconds', 'until it is up with the source, at the rates of now; 0: it is', stream)
  const lagSeconds = gauge('stream_lag_seconds', 'age of the last marker that came through', stream)
  const headroom = gauge('stream_binlog_headroom_seconds', 'how long the binlog that a stream needs is kept at least', stream)
  const waiting = gauge('stream_waiting', 'a stream waits for something, or is held back: `reshard show` says for what', stream)
  const rows = gauge('stream_copied_rows', 'rows copied', stream)
  const changes = gauge('stream_applied_row_changes', 'row changes applied', stream)
  const state = gauge('stream_state', '1 for the state that it is in', [...stream, 'state'])
  const eta = gauge('stream_copy_eta_seconds', 'time left of the copy at the rate of now', stream)
  const rowRate = gauge('stream_copied_rows_per_second', 'rows copied a second', stream)
  const byteRate = gauge('stream_copied_bytes_per_second', 'bytes copied a second', stream)
  const changeRate = gauge('stream_applied_row_changes_per_second', 'row changes applied a second', stream)
  const chunksDone = gauge('stream_chunks_done', 'chunks of the copy that have landed', stream)
  const chunksLeft = gauge('stream_chunks_left', 'chunks left, by the rows left', stream)
  const lanes = gauge('stream_lanes', 'parallel writers', stream)
  const retries = gauge('stream_retries', 'transactions and runs done again', stream)
  const ofStreams = [lagBytes, catchUp, state, eta, rowRate, byteRate, changeRate, chunksDone, chunksLeft, lanes, retries]
  const epoch = gauge('routing_epoch', 'how often serving has changed', ['keyspace', 'range'])
  const held = gauge('component_on_hold', 'a switch holds writes back', ['keyspace', 'range'])
  const statements = gauge('gate_statements', 'statements answered', ['gate'])
  const errors = gauge('gate_errors', 'statements answered by an error', ['gate'])
  const scattered = gauge('gate_scattered_statements', 'statements that went to several shards', ['gate'])
  const slow = gauge('gate_slow_statements', "statements that took longer than the gate's bound", ['gate'])
  const sessions = gauge('gate_sessions', 'clients connected', ['gate'])
  const memory = gauge('mover_resident_bytes', 'memory of a mover', ['mover'])
  const run = ['keyspace', 'workflow']
  const coverage = gauge('dualwrite_coverage_ratio', 'share of the retention window that the new branch holds whole', run)
  const lag = gauge('dualwrite_lag_records', 'records between the new branch and the end of its topics', run)
  const moved = gauge('dualwrite_reads_ratio', 'share of tenants whose reads the new branch serves', run)
  const p95 = gauge('dualwrite_read_p95_seconds', 'p95 of reads over the last second, by branch', [...run, 'branch'])
  const fleetLag = gauge('fleet_lag_records', 'records between a fleet and the end of its topic', ['fleet'])
  const fleetRate = gauge('fleet_records_per_second', 'records that a fleet takes', ['fleet'])
  const fleetPoison = gauge(
    'fleet_poison_records',
    'records that could not be decoded, mapped or routed, since its consumers started (fleet list: since the fleet began)',
    ['fleet'],
  )
  const dualwrite = [coverage, lag, moved, p95, fleetLag, fleetRate, fleetPoison]
  http.get('/metrics', async (_request, reply) => {
    const view = await topologyView(world)
    for (const one of [
      headroom,
      waiting,
      lagTransactions,
      lagSeconds,
      rows,
      changes,
      epoch,
      held,
      statements,
      errors,
      scattered,
      slow,
      sessions,
      memory,
    ])
      one.reset()
    for (const one of ofStreams) one.reset()
    for (const workflow of view.workflows()) {
      for (const s of workflow.streams) {
        const labels = { keyspace: workflow.keyspace, workflow: workflow.name, source: s.source, direction: s.direction }
        if (s.reportAgeMs === null) continue
        waiting.set(labels, s.waiting === null ? 0 : 1)
        if (s.headroom !== null) headroom.set(labels, s.headroom.leftMs / 1000)
        rows.set(labels, s.rowsDone)
        changes.set(labels, s.rowChangesApplied)
        state.set({ ...labels, state: s.state }, 1)
        for (const [one, value] of [
          [eta, s.etaMs === null ? null : s.etaMs / 1000],
          [rowRate, s.rowsPerSecond],
          [byteRate, s.bytesPerSecond],
          [changeRate, s.rowChangesPerSecond],
          [chunksDone, s.chunksDone],
          [chunksLeft, s.chunksLeft],
          [lanes, s.lanes],
          [retries, s.retries],
        ] as const)
          if (value !== null) one.set(labels, value)
        if (s.lag === null) continue
        for (const [one, value] of [
          [lagTransactions, s.lag.transactions],
          [lagBytes, s.lag.bytes],
          [lagSeconds, s.lag.ageMs === null ? null : s.lag.ageMs / 1000],
          [catchUp, s.lag.etaMs === null ? null : s.lag.etaMs / 1000],
        ] as const)
          if (value !== null) one.set(labels, value)
      }
    }
    for (const one of dualwrite) one.reset()
    for (const workflow of view.workflows()) {
      if (workflow.dualwrite === null || workflow.state === 'decommissioned' || workflow.state === 'cancelled') continue
      const labels = { keyspace: workflow.keyspace, workflow: workflow.name }
      const { coverage: filled, reads, readsPercent } = workflow.dualwrite
      moved.set(labels, readsPercent / 100)
      if (filled !== null && filled.percent !== null) coverage.set(labels, filled.percent / 100)
      if (filled !== null && filled.lag !== null) lag.set(labels, Number(filled.lag))
      if (reads.old.reads > 0) p95.set({ ...labels, branch: 'main' }, reads.old.p95Ms / 1000)
      if (reads.new.reads > 0) p95.set({ ...labels, branch: workflow.dualwrite.toBranch }, reads.new.p95Ms / 1000)
    }
    for (const fleet of fleetViews(view)) {
      if (fleet.lag !== null) fleetLag.set({ fleet: fleet.name }, Number(fleet.lag))
      if (fleet.recordsPerSecond !== null) fleetRate.set({ fleet: fleet.name }, fleet.recordsPerSecond)
      fleetPoison.set({ fleet: fleet.name }, fleet.poison)
    }
    for (const keyspace of view.keyspaces()) {
      for (const c of keyspace.routing.components) {
        epoch.set({ keyspace: keyspace.name, range: c.range }, c.epoch)
        held.set({ keyspace: keyspace.name, range: c.range }, c.holdSinceMs === null ? 0 : 1)
      }
    }
    for (const g of view.gates()) {
      if (!g.fresh) continue
      statements.set({ gate: g.id }, g.statements)
      errors.set({ gate: g.id }, g.errors)
      scattered.set({ gate: g.id }, g.scattered)
      slow.set({ gate: g.id }, g.slow)
      sessions.set({ gate: g.id }, g.sessions)
    }
    for (const mover of view.movers()) memory.set({ mover: mover.id }, mover.rssBytes)
    return reply.type(registry.contentType).send(await registry.metrics())
  })
}
