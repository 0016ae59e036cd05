/**
 * The story that `npm start` tells: a table outgrows its server, is sharded, split again and merged, under traffic that
 * never stops. Every act is a request to the control API, as a user would send it.
 */
import { randomUUID } from 'node:crypto'
import type { ApiClient } from '../api/client.ts'
import type { RequestBody } from '../api/endpoints.ts'
import type { ActionView, WorkflowView } from '../api/schemas.ts'
import type { Clock } from '../base/clock.ts'
import type { SecondReport } from './application.ts'
import { demoErrors } from './errors.ts'
import { database, table, vschema } from './workload.ts'

export type StoryOptions = {
  readonly client: ApiClient
  readonly clock: Clock
  readonly say: (line: string) => void
  readonly steps: readonly number[]
  readonly seconds: readonly SecondReport[]
  /** Called when a switch is about to be asked for: the place for a harm done on purpose. */
  readonly beforeSwitch: (workflow: WorkflowView) => Promise<void>
  readonly quietMs: number
}

export type PhaseTime = { readonly move: string; readonly phase: string; readonly seconds: number; readonly note: string }

export type SwitchTime = {
  readonly move: string
  readonly verb: string
  /** From the first write held to the last released, as the gates saw it; null: no gate held anything. */
  readonly longestHoldMs: number | null
  readonly medianHoldMs: number | null
  readonly held: number
  readonly failed: number
  /** Slowest write that the application saw around the switch. */
  readonly slowestWriteMs: number
  /** Longest time without any write coming to its end, as the application saw it: the stall. */
  readonly stallMs: number
}

export type StoryResult = { readonly phases: PhaseTime[]; readonly switches: SwitchTime[]; readonly rowsMoved: number }

export class Story {
  readonly #o: StoryOptions
  readonly phases: PhaseTime[] = []
  readonly switches: SwitchTime[] = []
  rowsMoved = 0

  constructor(options: StoryOptions) {
    this.#o = options
  }

  /** Makes the sequence, then applies the vschema that uses it: from that commit on the gate gives out ids. */
  async prepare(): Promise<void> {
    const { client, say } = this.#o
    say('AUTO_INCREMENT would give the same id on two shards: a sequence takes its place; the application notices nothing.')
    const sequence = await client.call('createSequence', {}, { keyspace: database, table, column: 'log_id' })
    say(`  sequence ${sequence.keyspace}.${sequence.name}, next id ${sequence.nextId}`)
    say(`Which rows belong together? Those of one user: the vschema shards ${table} by hash(user_id).`)
    await client.call('applyVSchema', { keyspace: database }, { vschema: vschema(`${sequence.keyspace}.${sequence.name}`) })
  }

  /** One change of the shard count, with a way back tried in between. */
  async reshard(from: number, to: number): Promise<void> {
    const { client, say } = this.#o
    const name = `from_${from}_to_${to}`
    const move = `${from} → ${to}`
    const params = { keyspace: database, name }
    say('')
    say(`── ${move} ──────────────────────────────────────────────`)
    const sourceShards = ranges(from)
    const targetShards = ranges(to)
    say(
      `shardwright reshard --workflow ${name} --target-keyspace ${database} create --source-shards ${sourceShards.join(',')} --target-shards ${targetShards.join(',')}`,
    )
    await this.#phase(move, 'create', async () => {
      const action = await client.call(
        'createWorkflow',
        {},
        { id: randomUUID(), kind: 'reshard', keyspace: database, name, spec: { sourceShards, targetShards } },
      )
      await this.#follow(params, action)
      return `${targetShards.length} new shards, closed to everybody but the mover`
    })
    say('Each source is read once; its binlog is followed from before the first row was read.')
    await this.#phase(move, 'copy and catch up', async () => {
      const workflow = await this.#untilRunning(params)
      const rows = sum(workflow.streams.map((stream) => stream.rowsDone))
      this.rowsMoved += rows
      return `${rows.toLocaleString('en-US')} rows copied`
    })
    await this.#phase(move, 'vdiff', async () => this.#vdiff(params))
    await this.#switch(move, params, 'switchtraffic')
    say('The old shards follow the new ones now: the way back is as fast as the way forth. It is taken:')
    await this.#watch(params)
    await this.#switch(move, params, 'reversetraffic')
    say('And forth again, for good:')
    await this.#watch(params)
    await this.#switch(move, params, 'switchtraffic')
    await this.#watch(params)
    await this.#phase(move, 'complete', async () => {
      await this.#follow(params, await client.call('act', params, { id: randomUUID(), verb: 'complete', args: {} }))
      return 'the old side is retired'
    })
  }

  /** Lets the application work a while, so that what a switch broke would show; on a slow machine until the streams are in step again. */
  async #watch(params: { keyspace: string; name: string }): Promise<void> {
    await this.#o.clock.sleep(this.#o.quietMs)
    await this.#untilRunning(params)
  }

  async #switch(move: string, params: { keyspace: string; name: string }, verb: 'switchtraffic' | 'reversetraffic'): Promise<void> {
    const { client, clock, say, seconds } = this.#o
    await this.#o.beforeSwitch(await client.call('showWorkflow', params))
    const began = clock.nowMs()
    let ended: ActionView | null = null
    await this.#phase(move, verb, async () => {
      const body: RequestBody<'act'> = { id: randomUUID(), verb, args: {} }
      ended = await this.#follow(params, await client.call('act', params, body))
      return ''
    })
    // What the application has to say of it comes with its next report.
    const endedMs = clock.nowMs()
    while (clock.nowMs() - endedMs < 1200 && !seconds.some((second) => second.atMs > endedMs)) await clock.sleep(20)
    const around = seconds.filter((second) => second.atMs >= began && second.atMs <= clock.nowMs())
    const slowestWriteMs = Math.max(0, ...around.map((second) => second.slowestWriteMs))
    const holds = holdsOf(ended)
    const stallMs = Math.max(0, ...around.map((second) => second.withoutWriteMs))
    this.switches.push({ move, verb, ...holds, slowestWriteMs, stallMs })
    say(
      `  ${verb}: held ${holds.held} statements, longest ${ms(holds.longestHoldMs)}, median ${ms(holds.medianHoldMs)}, failed ${holds.failed}; the application had no write for ${ms(stallMs)}, its slowest took ${ms(slowestWriteMs)}`,
    )
  }

  async #vdiff(params: { keyspace: string; name: string }): Promise<string> {
    const { client, clock } = this.#o
    const action = await this.#follow(params, await client.call('act', params, { id: randomUUID(), verb: 'vdiff', args: {} }))
    const uid = (action.result as { vdiff?: string } | null)?.vdiff
    for (;;) {
      const vdiff = (await client.call('listVdiffs', params)).find((one) => one.uid === uid)
      if (vdiff?.state === 'clean') return `${vdiff.rowsCompared.toLocaleString('en-US')} rows compared, all equal`
      if (vdiff !== undefined && vdiff.state !== 'running' && vdiff.state !== 'pending') {
        throw demoErrors.failed({ what: `vdiff ${vdiff.state}: ${JSON.stringify(vdiff.error ?? vdiff.tables)}` })
      }
      await clock.sleep(100)
    }
  }

  async #untilRunning(params: { keyspace: string; name: string }): Promise<WorkflowView> {
    const { client, clock, say } = this.#o
    let saidMs = clock.nowMs()
    for (;;) {
      const workflow = await client.call('showWorkflow', params)
      const failed = workflow.streams.find((stream) => stream.state === 'failed')
      if (failed !== undefined)
        throw demoErrors.failed({ what: `stream ${failed.source}: ${failed.error?.code ?? ''} ${failed.error?.what ?? ''}` })
      const ready = workflow.streams.length > 0 && workflow.streams.every((s) => s.state === 'running' && (s.lag?.ageMs ?? Infinity) < 2000)
      if (ready) return workflow
      if (clock.nowMs() - saidMs >= 1000) {
        saidMs = clock.nowMs()
        const done = sum(workflow.streams.map((s) => s.rowsDone))
        const all = sum(workflow.streams.map((s) => s.rowsEstimated))
        const rate = sum(workflow.streams.map((s) => s.rowsPerSecond ?? 0))
        say(
          `  copied ${done.toLocaleString('en-US')} of ~${all.toLocaleString('en-US')} rows, ${Math.round(rate).toLocaleString('en-US')} rows/s`,
        )
      }
      await clock.sleep(50)
    }
  }

  async #follow(params: { keyspace: string; name: string }, first: ActionView): Promise<ActionView> {
    const { client, clock, say } = this.#o
    let action = first
    let printed = 0
    for (;;) {
      for (const line of action.text.slice(printed)) say(`  ${line}`)
      printed = action.text.length
      if (action.state === 'done') return action
      if (action.state === 'failed') {
        throw demoErrors.failed({
          what: `${action.verb}: ${action.errors.map((error) => `${error.code} ${error.what}. ${error.fix}`).join('; ')}`,
        })
      }
      await clock.sleep(30)
      action = await client.call('showAction', { ...params, id: action.id })
    }
  }

  async #phase(move: string, phase: string, work: () => Promise<string>): Promise<void> {
    const started = this.#o.clock.monotonicMs()
    const note = await work()
    const seconds = (this.#o.clock.monotonicMs() - started) / 1000
    this.phases.push({ move, phase, seconds, note })
    this.#o.say(`  ${phase}: ${seconds.toFixed(2)} s${note === '' ? '' : `, ${note}`}`)
  }
}

/** `n` even ranges, as `-40,40-80,…`; one: `-`. */
export function ranges(n: number): string[] {
  const bound = (i: number): string =>
    i === 0 || i === n
      ? ''
      : Math.round((i * 256) / n)
          .toString(16)
          .padStart(2, '0')
  return Array.from({ length: n }, (_, i) => `${bound(i)}-${bound(i + 1)}`)
}

type Holds = Pick<SwitchTime, 'longestHoldMs' | 'medianHoldMs' | 'held' | 'failed'>

function holdsOf(action: ActionView | null): Holds {
  const holds = (action?.result as { holds?: { held?: number; failed?: number; longestMs?: number; medianMs?: number } } | null)?.holds
  return {
    held: holds?.held ?? 0,
    failed: holds?.failed ?? 0,
    longestHoldMs: holds?.longestMs ?? null,
    medianHoldMs: holds?.medianMs ?? null,
  }
}

function ms(value: number | null): string {
  return value === null ? 'unknown' : `${Math.round(value)} ms`
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0)
}
