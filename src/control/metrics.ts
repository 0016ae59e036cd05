import type { FastifyInstance } from 'fastify'
import { Gauge, Registry, collectDefaultMetrics } from 'prom-client'
import type { World } from '../change/servers.ts'
import { fleetViews } from './dualwrite-view.ts'
import { topologyView } from './status.ts'
import { StreamMetrics } from './stream-metrics.ts'

/** Prometheus text at /metrics, read from the topology at each scrape: what is unknown has no sample (promise 6). */
export function serveMetrics(http: FastifyInstance, world: World): void {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'shardwright_control_' })
  const gauge = (name: string, help: string, labelNames: string[]): Gauge =>
    new Gauge({ name: `shardwright_${name}`, help, labelNames, registers: [registry] })
  const streams = new StreamMetrics(registry)
  const epoch = gauge('routing_epoch', 'how often serving has changed', ['keyspace', 'range'])
  const held = gauge('component_on_hold', 'a switch holds writes back', ['keyspace', 'range'])
  const statements = gauge('gate_statements', 'statements answered', ['gate'])
  const errors = gauge('gate_errors', 'statements answered by an error', ['gate'])
  const scattered = gauge('gate_scattered_statements', 'statements that went to several shards', ['gate'])
  const slow = gauge('gate_slow_statements', "statements that took longer than the gate's bound", ['gate'])
  const deadlocks = gauge('gate_deadlocks', 'deadlocks over several shards that the gate has ended', ['gate'])
  const sessions = gauge('gate_sessions', 'clients connected', ['gate'])
  const logins = gauge('gate_refused_logins', 'logins that were refused', ['gate'])
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
    for (const one of [epoch, held, statements, errors, scattered, slow, deadlocks, sessions, logins, memory]) one.reset()
    streams.set(view.workflows(), view.nowMs)
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
      deadlocks.set({ gate: g.id }, g.deadlocks)
      sessions.set({ gate: g.id }, g.sessions)
      logins.set({ gate: g.id }, g.refusedLogins.total)
    }
    for (const mover of view.movers()) memory.set({ mover: mover.id }, mover.rssBytes)
    return reply.type(registry.contentType).send(await registry.metrics())
  })
}
