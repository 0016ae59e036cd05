/** What the control process gives a dual-write run to work with: definitions from files, the ladder, what stands in the way. */
import type { BranchView, DeadLetterView, FleetView } from '../api/dualwrite-schemas.ts'
import type { TopicCheckView } from '../api/topic-schemas.ts'
import { apiErrors } from '../api/errors.ts'
import { branchesOf, createBranch, deleteBranch } from '../change/branches.ts'
import { planDualWrite } from '../change/dualwrite-create.ts'
import { ladderFor } from '../change/dualwrite-validate.ts'
import { preconditionsFor } from '../change/dualwrite-preconditions.ts'
import type { DualWriteSpec } from '../change/dualwrite-spec.ts'
import type { DualWriteWorld } from '../change/dualwrite-world.ts'
import { createFleet, deleteFleet, readFleet, setFleet } from '../change/fleets.ts'
import { updateDefinition } from '../change/fleet-definition.ts'
import { deadLetters, fleetCounts } from '../change/fleet-written.ts'
import { openRunOn } from '../change/dualwrite-record.ts'
import { dualwriteErrors } from '../change/dualwrite-errors.ts'
import type { World } from '../change/servers.ts'
import { loadDefinition } from '../ingest/load-definition.ts'
import { checkTopic } from '../ingest/topic-check.ts'
import { openTopic } from '../topic/open.ts'
import type { Handlers } from './http.ts'
import { branchViews, fleetView, fleetViews } from './dualwrite-view.ts'
import { topologyView } from './status.ts'

export function dualWriteWorld(world: World): DualWriteWorld {
  const { store, clock, log } = world
  return {
    ...world,
    loadDefinition,
    runRung: ladderFor({ store, clock, log, loadDefinition }),
    preconditions: preconditionsFor({ store, clock, log }),
  }
}

type Mine = Pick<
  Handlers,
  | 'createBranch'
  | 'listBranches'
  | 'deleteBranch'
  | 'createFleet'
  | 'listFleets'
  | 'showFleet'
  | 'deadLetters'
  | 'setFleet'
  | 'updateFleet'
  | 'deleteFleet'
  | 'checkTopic'
>

export function dualWriteHandlers(world: World): Mine {
  const whole = dualWriteWorld(world)
  const fleetNamed = async (name: string): Promise<FleetView> => fleetView(await topologyView(world), await readFleet(world, name))
  const branches = async (keyspace: string): Promise<BranchView[]> => {
    await branchesOf(world, keyspace)
    return branchViews(await topologyView(world), keyspace)
  }
  return {
    async createBranch(params, body) {
      const keyspace = params['keyspace'] ?? ''
      await createBranch(world, { keyspace, ...body })
      const made = (await branches(keyspace)).find((one) => one.branch === body.branch)
      if (made === undefined)
        throw apiErrors.notFound({ kind: 'branch', name: body.branch, list: `shardwright keyspace branch list ${keyspace}` })
      return made
    },
    listBranches: (params) => branches(params['keyspace'] ?? ''),
    deleteBranch: (params, body) => deleteBranch(world, params['keyspace'] ?? '', params['branch'] ?? '', body),
    async createFleet(_params, body) {
      const fleet = await createFleet(whole, {
        keyspace: body.keyspace,
        branch: body.branch,
        definitionPath: body.definition,
        topicUrl: body.topic,
        suffix: body.suffix,
        start: body.start === 'end' ? { at: 'end' } : { at: 'oldest', marginMs: body.marginMs },
        consumers: body.consumers,
        writers: body.writers,
        batchRecordsMax: body.batchRecordsMax,
      })
      return fleetNamed(fleet.name)
    },
    async checkTopic(_params, { keyspace, branch, definition, topic: topicUrl }) {
      const on = { keyspace, branch, topicUrl }
      const check = await checkTopic(world.store, await loadDefinition(definition), on, openTopic, AbortSignal.timeout(60_000))
      return structuredClone(check) as TopicCheckView
    },
    async listFleets() {
      return withCounts(world, fleetViews(await topologyView(world)))
    },
    async showFleet(params) {
      const view = await fleetNamed(params['fleet'] ?? '')
      return (await withCounts(world, [view]))[0] ?? view
    },
    async deadLetters(params): Promise<DeadLetterView[]> {
      const limit = Number(params['limit'])
      if (!Number.isInteger(limit) || limit < 1 || limit > 10_000)
        throw apiErrors.badRequest({ problems: `limit: ${params['limit']} is no whole number from 1 to 10000` })
      return deadLetters(world, await readFleet(world, params['fleet'] ?? ''), limit)
    },
    async setFleet(params, body) {
      const name = params['fleet'] ?? ''
      await setFleet(world, name, body.wanted)
      return fleetNamed(name)
    },
    async updateFleet(params, { definition }) {
      const name = params['fleet'] ?? ''
      await updateDefinition(whole, name, definition, AbortSignal.timeout(60_000))
      return fleetNamed(name)
    },
    async deleteFleet(params) {
      const name = params['fleet'] ?? ''
      const { keyspace } = await readFleet(world, name)
      const run = await openRunOn(world.store, keyspace)
      if (run !== null) throw dualwriteErrors.openRun({ verb: `delete of fleet ${name}`, keyspace, name: run.name })
      await deleteFleet(world, name, 'kept')
      return { deleted: true }
    },
  }
}

export async function withCounts(world: World, fleets: readonly FleetView[]): Promise<FleetView[]> {
  return Promise.all(
    fleets.map(async (fleet) => {
      try {
        return { ...fleet, written: await fleetCounts(world, await readFleet(world, fleet.name)) }
      } catch {
        // Deleted meanwhile.
        return fleet
      }
    }),
  )
}

/** The lines of a creation's dry run. @throws Failures with everything that stands in the way */
export async function dualWriteLines(world: World, keyspace: string, spec: DualWriteSpec): Promise<string[]> {
  return (await planDualWrite(dualWriteWorld(world), keyspace, null, spec, AbortSignal.timeout(60_000))).lines
}
