/**
 * The story of `npm run demo:dual-write`: a keyspace of four shards, filled from two topics by its fleets, gets a branch of eight;
 * the branch is proven, readers move to it step by step, two faults make the ramp step back by itself, the way back is tried, and
 * the old side is given up. Every act is a request to the control API, as a user would send it.
 */
import { randomUUID } from 'node:crypto'
import type { ApiClient } from '../../api/client.ts'
import type { RequestBody } from '../../api/endpoints.ts'
import type { ActionView, WorkflowView } from '../../api/schemas.ts'
import type { Clock } from '../../base/clock.ts'
import { demoErrors } from '../errors.ts'

export type DualWriteStoryOptions = {
  readonly client: ApiClient
  readonly clock: Clock
  readonly say: (line: string) => void
  readonly keyspace: string
  readonly branch: string
  readonly limitMs: number
  readonly spec: object
}

export type ActTime = { readonly act: string; readonly seconds: number; readonly note: string }

type Verb = RequestBody<'act'>['verb']

const name = 'grow'
const tellEveryMs = 20_000

const steppedBack = ['SW-DUALWRITE-012', 'SW-DUALWRITE-014']

export class DualWriteStory {
  readonly #o: DualWriteStoryOptions
  readonly acts: ActTime[] = []

  constructor(options: DualWriteStoryOptions) {
    this.#o = options
  }

  async act(act: string, work: () => Promise<string>): Promise<void> {
    const started = this.#o.clock.monotonicMs()
    const note = await work()
    const seconds = (this.#o.clock.monotonicMs() - started) / 1000
    this.acts.push({ act, seconds, note })
    this.#o.say(`  ${act}: ${seconds.toFixed(1)} s${note === '' ? '' : `, ${note}`}`)
  }

  async create(): Promise<string> {
    const { client, keyspace, branch, spec } = this.#o
    const action = await client.call('createWorkflow', {}, {
      id: randomUUID(),
      kind: 'dualwrite',
      keyspace,
      name,
      spec: { toBranch: branch, ...spec },
    } as RequestBody<'createWorkflow'>)
    await this.#end(action)
    const view = await this.show()
    return `${view.sourceShards.length} → ${view.targetShards.length} shards, bootstrap ${view.dualwrite?.bootstrap ?? 'unknown'}`
  }

  async filled(): Promise<string> {
    let saidMs = -Infinity
    const view = await this.#until('the branch to be filled', async () => {
      const now = await this.show()
      const { coverage } = now.dualwrite ?? {}
      if (this.#o.clock.monotonicMs() - saidMs > 3000 && coverage != null) {
        saidMs = this.#o.clock.monotonicMs()
        this.#o.say(
          `  ${coverage.percent === null ? 'unknown' : coverage.percent.toFixed(1)} % of the window, lag ${coverage.lag ?? 'unknown'}: ${coverage.because}`,
        )
      }
      return ['validating', 'ready'].includes(now.state) ? now : null
    })
    return view.dualwrite?.coverage?.because ?? ''
  }

  /** Until all rungs that readiness asks for have passed; a bucket must close first, so it may take several tries. */
  async validate(): Promise<string> {
    let tries = 0
    await this.#until(
      'the ladder to pass',
      async () => {
        tries++
        const action = await this.#request('validate', {})
        if (action.state === 'failed')
          this.#o.say(
            `  not yet: ${action.errors
              .map((error) => error.what)
              .join('; ')
              .slice(0, 300)}`,
          )
        return action.state === 'done' ? action : null
      },
      3000,
    )
    const view = await this.show()
    for (const one of view.dualwrite?.evidence ?? []) this.#o.say(`  ${one.rung} ${one.verdict.padEnd(7)} ${one.because}`)
    await this.untilState('ready')
    return `${view.dualwrite?.evidence.length ?? 0} rungs, ${tries === 1 ? 'at the first try' : `${tries} tries`}`
  }

  /** A rung that readiness does not ask for; one that could not be judged is tried again. */
  async rungPasses(rung: string): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      const action = await this.#request('validate', { rungs: [rung] })
      const shown = (await this.show()).dualwrite?.evidence.find((one) => one.rung === rung)
      const said = shown === undefined ? action.errors.map((error) => error.what).join('; ') : `${shown.verdict}: ${shown.because}`
      this.#o.say(`  ${rung} ${said}`)
      if (shown?.verdict === 'pass') return said
      if (shown?.verdict === 'fail' || attempt === 3) throw demoErrors.failed({ what: `${rung} ${said}` })
    }
  }

  async rampAuto(): Promise<void> {
    await this.#end(await this.#send('ramp', { auto: true }))
  }

  /**
   * Everything is read on the new branch. A ramp that steps back on its own because reads take longer than their budget says so and is begun again, as its user
   * would: on a machine that is too busy that happens. Any other reason ends the story.
   */
  async rampToTheEnd(): Promise<string> {
    let again = 0
    const stepsBefore = (await this.show()).dualwrite?.ramp.length ?? 0
    await this.rampAuto()
    await this.#until('all reads to have moved', async () => {
      const { state, dualwrite, journal } = await this.show()
      if (state === 'failed') throw demoErrors.failed({ what: journal.at(-1)?.text ?? 'the run failed' })
      if (state === 'switched') return true
      const { auto, closing } = dualwrite ?? {}
      if (auto?.state !== 'stepped back' || closing !== null) return null
      const why = auto.why ?? ''
      if (!why.startsWith('p95 of reads')) throw demoErrors.failed({ what: `the ramp stepped back by itself: ${why}` })
      this.#o.say(`  it stepped back by itself, and is begun again: ${why}`)
      again++
      await this.rampAuto()
      return null
    })
    return `the slowest step held reads for ${await this.slowestHold(stepsBefore)}${again === 0 ? '' : `, begun again ${again} times`}`
  }

  /** Of the ramp's steps from the so-manieth on: how long, and what that went to. */
  async slowestHold(from: number): Promise<string> {
    const steps = (await this.show()).dualwrite?.ramp.slice(from) ?? []
    const slowest = steps.toSorted((a, b) => (b.stallMs ?? 0) - (a.stallMs ?? 0))[0]
    const { stallMs = 0, parts = null } = slowest ?? {}
    const what =
      parts === null ? '' : ` (gates ${parts.gates}, positions ${parts.measure}, catching up ${parts.reach}, opening ${parts.settle})`
    return `${Math.round(stallMs ?? 0)} ms${what}`
  }

  async untilPercent(percent: number): Promise<number> {
    const view = await this.#until(`${percent} % of the reads to have moved`, async () => {
      const now = await this.show()
      const { auto, readsPercent = 0 } = now.dualwrite ?? {}
      if (auto?.state === 'stepped back') throw demoErrors.failed({ what: `the ramp stepped back by itself: ${auto.why ?? ''}` })
      return readsPercent >= percent ? now : null
    })
    return view.dualwrite?.readsPercent ?? 0
  }

  /** A difference takes all reads back, a budget that is not met takes them one step back. */
  async untilSteppedBack(): Promise<string> {
    const view = await this.#until('the ramp to step back by itself', async () => {
      const now = await this.show()
      const { auto, closing, ramp } = now.dualwrite ?? {}
      return auto?.state === 'stepped back' && closing === null && ramp?.at(-1)?.by === 'guard' ? now : null
    })
    return `${view.dualwrite?.readsPercent ?? 'unknown'} % on the new branch: ${view.dualwrite?.auto?.why ?? ''}`
  }

  async untilState(state: WorkflowView['state']): Promise<WorkflowView> {
    return this.#until(`the run to be ${state}`, async () => {
      const view = await this.show()
      if (view.state === 'failed') throw demoErrors.failed({ what: view.journal.at(-1)?.text ?? 'the run failed' })
      return view.state === state ? view : null
    })
  }

  /** Where the ramp stepped back on its own since (`rampToTheEnd`), it is taken to the end once more. */
  async complete(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const action = await this.#request('complete', { yes: true })
      if (action.state === 'done') break
      const [error] = action.errors
      // The guard took reads back, before it began or while it looked whether anybody reads the old side.
      if (!steppedBack.includes(error?.code ?? '') || attempt === 3) await this.#end(action)
      this.#o.say(`  not yet: ${error?.what ?? ''}`)
      this.#o.say(`  ${await this.rampToTheEnd()}`)
    }
    await this.untilState('decommissioned')
  }

  async carryOut(verb: Verb, args: object): Promise<ActionView> {
    return this.#end(await this.#send(verb, args))
  }

  show(): Promise<WorkflowView> {
    return this.#o.client.call('showWorkflow', { keyspace: this.#o.keyspace, name })
  }

  async #send(verb: Verb, args: object): Promise<ActionView> {
    const body = { id: randomUUID(), verb, args } as RequestBody<'act'>
    return this.#o.client.call('act', { keyspace: this.#o.keyspace, name }, body)
  }

  async #request(verb: Verb, args: object): Promise<ActionView> {
    return this.#ended(await this.#send(verb, args))
  }

  async #end(first: ActionView): Promise<ActionView> {
    const action = await this.#ended(first)
    if (action.state === 'failed')
      throw demoErrors.failed({
        what: `${action.verb}: ${action.errors.map((error) => `${error.code} ${error.what}. ${error.fix}`).join('; ')}`,
      })
    return action
  }

  async #ended(first: ActionView): Promise<ActionView> {
    const { client, keyspace } = this.#o
    return this.#until(`${first.verb} to end`, async () => {
      const action = await client.call('showAction', { keyspace, name, id: first.id })
      return action.state === 'done' || action.state === 'failed' ? action : null
    })
  }

  /** What takes long is told with what it waits for, as `DualWrite show` has it. */
  async #until<T>(what: string, look: () => Promise<T | null>, everyMs = 150): Promise<T> {
    const { clock, limitMs, say } = this.#o
    const started = clock.monotonicMs()
    let toldMs = started
    for (;;) {
      const found = await look()
      if (found !== null) return found
      const nowMs = clock.monotonicMs()
      if (nowMs - started > limitMs)
        throw demoErrors.failed({ what: `waited ${Math.round(limitMs / 1000)} s for ${what}: ${await this.#waitsFor()}` })
      if (nowMs - toldMs > tellEveryMs) {
        toldMs = nowMs
        say(`  waiting for ${what}: ${await this.#waitsFor()}`)
      }
      await clock.sleep(everyMs)
    }
  }

  async #waitsFor(): Promise<string> {
    try {
      const { state, dualwrite, journal } = await this.show()
      const { auto } = dualwrite ?? {}
      const ramp = auto === null || auto === undefined ? '' : `, the ramp is ${auto.state}${auto.why === null ? '' : ` (${auto.why})`}`
      return `it is ${state}${ramp}; last: ${journal.at(-1)?.text ?? 'nothing'}`
    } catch {
      return 'it is not there yet'
    }
  }
}
