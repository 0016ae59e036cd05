/** A reshard driven by the control API, as the command line does it: each verb one request, its outcome read afterwards. */
import { randomUUID } from 'node:crypto'
import type { ApiClient } from '../../src/api/client.ts'
import type { RequestBody } from '../../src/api/endpoints.ts'
import type { ActionView, VdiffView, WorkflowView } from '../../src/api/schemas.ts'
import { SwError } from '../../src/base/errors.ts'
import { ranges } from '../../src/demo/story.ts'
import { database } from '../../src/demo/workload.ts'
import { Final, until } from './until.ts'

type Verb = RequestBody<'act'>['verb']
export type Spec = Extract<RequestBody<'createWorkflow'>, { kind: 'reshard' }>['spec']

export class ReshardUnderTest {
  readonly #client: ApiClient
  readonly params: { keyspace: string; name: string }
  readonly spec: Spec

  constructor(client: ApiClient, name: string, spec: Spec, keyspace = database) {
    this.#client = client
    this.params = { keyspace, name }
    this.spec = spec
  }

  /** From n even shards to m. */
  static even(client: ApiClient, from: number, to: number, more: Partial<Spec> = {}): ReshardUnderTest {
    return new ReshardUnderTest(client, `from_${from}_to_${to}`, { sourceShards: ranges(from), targetShards: ranges(to), ...more })
  }

  async create(dryRun = false): Promise<ActionView> {
    return this.follow(await this.askCreate(dryRun))
  }

  askCreate(dryRun = false): Promise<ActionView> {
    return this.#client.call('createWorkflow', {}, { id: randomUUID(), kind: 'reshard', ...this.params, spec: this.spec, dryRun })
  }

  /** Asks for a verb and waits for its outcome. */
  async act(verb: Verb, args: object = {}, limitMs = 90_000): Promise<ActionView> {
    return this.follow(await this.ask(verb, args), limitMs)
  }

  /** As `act`, but what was harmed a moment ago may have to be measured anew first: a refused switch is asked for again. */
  async actWhenReady(verb: Verb, args: object = {}): Promise<ActionView> {
    for (let attempt = 1; ; attempt++) {
      await this.untilFollowing()
      const ended = await this.outcome(await this.ask(verb, args))
      if (ended.state === 'done' || attempt === 8) return this.follow(ended)
    }
  }

  /** Asks and returns at once. The request is repeated under its id while control is away: that is once (promise 13). */
  ask(verb: Verb, args: object = {}): Promise<ActionView> {
    const body = { id: randomUUID(), verb, args } as RequestBody<'act'>
    return until(`${verb} to be taken`, () => this.#client.call('act', this.params, body).catch(onlyUnreachable), 20_000)
  }

  /** Until it is done; a failed action is thrown with all its errors. */
  async follow(action: ActionView, limitMs = 90_000): Promise<ActionView> {
    const ended = await this.outcome(action, limitMs)
    if (ended.state === 'failed')
      throw new Error(
        `${ended.verb} failed: ${ended.errors.map((error) => `${error.code} ${error.what}. ${error.fix}`).join('; ')}\n${ended.text.join('\n')}`,
      )
    return ended
  }

  /** Null while it runs, or while control is away. */
  async ended(action: ActionView): Promise<ActionView | null> {
    const now = await this.#client.call('showAction', { ...this.params, id: action.id }).catch(onlyUnreachable)
    return now !== null && (now.state === 'done' || now.state === 'failed') ? now : null
  }

  /** Until it is done or failed. Survives a control process that is away for a while. */
  outcome(action: ActionView, limitMs = 90_000): Promise<ActionView> {
    if (action.state === 'done' || action.state === 'failed') return Promise.resolve(action)
    return until(`${action.verb} of ${this.params.name} to end`, () => this.ended(action), limitMs)
  }

  show(): Promise<WorkflowView> {
    return until('control to answer', () => this.#client.call('showWorkflow', this.params).catch(onlyUnreachable), 20_000)
  }

  /** Until every stream follows with fresh lag. */
  async untilFollowing(limitMs = 60_000): Promise<WorkflowView> {
    let last: WorkflowView['streams'] = []
    try {
      return await until(
        'every stream to follow',
        async () => {
          const workflow = await this.show()
          last = workflow.streams
          const failed = last.find((stream) => stream.state === 'failed')
          if (failed !== undefined) throw new Final(`stream ${failed.source}: ${failed.error?.code} ${failed.error?.what}`)
          return last.length > 0 && last.every((s) => s.state === 'running' && (s.lag?.ageMs ?? Infinity) < 2000) ? workflow : null
        },
        limitMs,
      )
    } catch (error) {
      if (error instanceof Final) throw error
      throw new Error(`the streams were ${JSON.stringify(last)}`, { cause: error })
    }
  }

  async vdiff(limitMs = 60_000): Promise<VdiffView> {
    const action = await this.act('vdiff')
    const uid = (action.result as { vdiff?: string } | null)?.vdiff
    return until(
      'vdiff to end',
      async () => {
        const vdiff = (await this.#client.call('listVdiffs', this.params)).find((one) => one.uid === uid)
        return vdiff !== undefined && vdiff.state !== 'running' && vdiff.state !== 'pending' ? vdiff : null
      },
      limitMs,
    )
  }
}

/** SW-API-001: control does not answer just now. Anything else is an answer. */
function onlyUnreachable(error: unknown): null {
  if (error instanceof SwError && (error.code === 'SW-API-001' || error.code === 'SW-API-005')) return null
  throw error
}
