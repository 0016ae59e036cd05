import { apiErrors } from '../api/errors.ts'
import type { ActionView } from '../api/schemas.ts'
import { createKeyspace, deleteKeyspace, updateKeyspace } from '../change/keyspaces.ts'
import { planReshardCreate } from '../change/reshard.ts'
import { normaliseReshardSpec, withoutPasswords } from '../change/reshard-spec.ts'
import { dualwriteErrors } from '../change/dualwrite-errors.ts'
import { openRunOn } from '../change/dualwrite-record.ts'
import { createSequence } from '../change/sequences.ts'
import { openUnusedServer } from '../change/servers.ts'
import type { World } from '../change/servers.ts'
import { acceptServer } from '../change/accept-server.ts'
import { addReplica, removeReplica, shardLog } from '../change/replicas.ts'
import { setPrimary } from '../change/set-primary.ts'
import type { ClaimPool } from '../switch/claim.ts'
import type { KeyspaceTurns } from '../switch/turns.ts'
import { alterUser, createUser, dropUser, listUsers } from './users.ts'
import { applyVSchema } from '../change/vschema.ts'
import { SwError } from '../base/errors.ts'
import { keys } from '../topology/keys.ts'
import type { CreationSecret, KeyspaceRecord, ServerRecord } from '../topology/records.ts'
import type { Json } from '../topology/store.ts'
import { put } from '../topology/typed.ts'
import { Failures } from '../workflow/context.ts'
import type { Leadership } from '../workflow/context.ts'
import { readAudit } from '../workflow/audit.ts'
import { workflowErrors } from '../workflow/errors.ts'
import type { ActionRecord, WorkflowRecord } from '../workflow/records.ts'
import { newAction } from '../workflow/records.ts'
import { requestAction, requestCreate } from '../workflow/requests.ts'
import { dualWriteHandlers, dualWriteLines, withCounts } from './dualwrite.ts'
import type { Handlers } from './http.ts'
import { listGateRestarts, restartGate } from './gate-restarts.ts'
import { listQueries } from './gate-queries.ts'
import { auditView } from './audit-view.ts'
import { planKeyspace } from './plan.ts'
import { statusView, topologyView } from './status.ts'
import { actionView } from './views.ts'
import type { TopologyView } from './views.ts'

/** What only the leader has: claims on servers. Null while another process leads. */
export type Office = { pool: ClaimPool | null; turns: KeyspaceTurns; leadership: Leadership | null }

/** Every endpoint of the contract. Reading needs the topology only; changing goes through change/ and workflow/. */
export function buildHandlers(world: World & { version: string; leading: Office }): Handlers {
  const { store, clock, version, leading } = world
  const keyspaceOf = (view: TopologyView, name: string): KeyspaceRecord => {
    const keyspace = view.one<KeyspaceRecord>(keys.keyspace(name))
    if (keyspace === null) throw apiErrors.notFound({ kind: 'keyspace', name, list: 'shardwright keyspace list' })
    return keyspace
  }
  const workflowOf = (view: TopologyView, params: { keyspace?: string; name?: string }): WorkflowRecord => {
    const { keyspace = '', name = '' } = params
    const workflow = view.one<WorkflowRecord>(keys.workflow(keyspace, name))
    if (workflow === null) throw workflowErrors.notFound({ keyspace, name })
    return workflow
  }
  return {
    status: () => statusView(world, version),
    listKeyspaces: async () => (await topologyView(world)).keyspaces(),
    async createKeyspace(_params, body) {
      await createKeyspace(world, body)
      const view = await topologyView(world)
      return view.keyspace(keyspaceOf(view, body.name))
    },
    async showKeyspace(params) {
      const view = await topologyView(world)
      return view.keyspace(keyspaceOf(view, params['keyspace'] ?? ''))
    },
    async updateKeyspace(params, body) {
      const name = params['keyspace'] ?? ''
      await updateKeyspace(world, name, body)
      const view = await topologyView(world)
      return view.keyspace(keyspaceOf(view, name))
    },
    async deleteKeyspace(params, body) {
      return deleteKeyspace(world, params['keyspace'] ?? '', body)
    },
    async listShards(params) {
      const view = await topologyView(world)
      return view.shards(keyspaceOf(view, params['keyspace'] ?? '').name)
    },
    async listServers() {
      const view = await topologyView(world)
      return view.all<ServerRecord>(keys.servers).map(({ id, flavour, version: serverVersion, host, port, provisioned }) => ({
        id,
        flavour,
        version: serverVersion,
        host,
        port,
        provisioned,
      }))
    },
    async openServer(params) {
      const view = await topologyView(world)
      if (leading.pool === null) throw apiErrors.notLeader({ holder: view.leader()?.holder ?? 'nobody' })
      await openUnusedServer(world, leading.pool, params['server'] ?? '')
      return { opened: true }
    },
    async acceptServer(params, body) {
      return acceptServer(world, { server: params['server'] ?? '', ...body })
    },
    async addReplica(params, body) {
      const place = { keyspace: params['keyspace'] ?? '', shard: params['shard'] ?? '' }
      const view = await topologyView(world)
      if (leading.leadership === null) throw apiErrors.notLeader({ holder: view.leader()?.holder ?? 'nobody' })
      let added: ServerRecord | null = null
      await leading.turns.run(place.keyspace, async () => {
        added = await addReplica(world, place, body)
      })
      const { id, flavour, version: serverVersion, host, port, provisioned } = added as unknown as ServerRecord
      return { id, flavour, version: serverVersion, host, port, provisioned }
    },
    async removeReplica(params) {
      await removeReplica(world, { keyspace: params['keyspace'] ?? '', shard: params['shard'] ?? '' }, params['server'] ?? '')
      return { removed: true }
    },
    async setPrimary(params, body) {
      const { pool, leadership, turns } = leading
      const view = await topologyView(world)
      if (pool === null || leadership === null) throw apiErrors.notLeader({ holder: view.leader()?.holder ?? 'nobody' })
      const keyspace = params['keyspace'] ?? ''
      let said: string[] = []
      await turns.run(keyspace, async () => {
        said = await setPrimary(world, pool, leadership, { keyspace, shard: params['shard'] ?? '', ...body })
      })
      return { text: said }
    },
    async shardLog(params) {
      const { keyspace = '', shard = '' } = params
      const log = await readAudit(store, keyspace, shardLog(shard))
      if (log.length === 0 && !(await topologyView(world)).shards(keyspace).some((one) => one.name === shard))
        throw apiErrors.notFound({ kind: 'shard', name: `${keyspace}/${shard}`, list: `shard list ${keyspace}` })
      return auditView(log)
    },
    async showVSchema(params) {
      const view = await topologyView(world)
      return view.keyspace(keyspaceOf(view, params['keyspace'] ?? '')).vschema
    },
    applyVSchema: (params, body) => applyVSchema(world, params['keyspace'] ?? '', body.vschema, body.dryRun),
    plan: (params, body) => planKeyspace(world, params['keyspace'] ?? '', body),
    createSequence: (_params, body) => createSequence(world, body),
    createUser: (_params, body) => createUser(store, body),
    listUsers: () => listUsers(store),
    alterUser: (params, body) => alterUser(store, params['user'] ?? '', body),
    async dropUser(params) {
      await dropUser(store, params['user'] ?? '')
      return { dropped: true }
    },
    ...dualWriteHandlers(world),
    listQueries: () => listQueries(store),
    listGates: async () => (await topologyView(world)).gates(),
    restartGate: (params, body) => restartGate(store, clock, params['gate'] ?? '', body.actor),
    listGateRestarts: () => listGateRestarts(store),
    listWorkflows: async () => (await topologyView(world)).workflows(),
    async createWorkflow(_params, body) {
      if (body.kind === 'dualwrite') {
        const spec = body.spec
        if (body.dryRun) return dryRun(world, body.id, 'create', () => dualWriteLines(world, body.keyspace, spec))
        const { id, keyspace, name, kind } = body
        const { actor } = body
        const given = { id, keyspace, name, kind, spec: spec as unknown as Json, data: {}, args: {}, nowMs: clock.nowMs(), actor }
        return actionView((await requestCreate(store, given)).action)
      }
      const open = await openRunOn(store, body.keyspace)
      if (open !== null) throw dualwriteErrors.openRun({ verb: 'a reshard', keyspace: body.keyspace, name: open.name })
      const { spec, passwords } = withoutPasswords(normaliseReshardSpec(body.spec))
      if (body.dryRun)
        return dryRun(
          world,
          body.id,
          'create',
          async () => (await planReshardCreate(world, body.keyspace, body.name, spec, 'new', passwords)).lines,
        )
      const request = { id: body.id, keyspace: body.keyspace, name: body.name, kind: body.kind, spec: spec as unknown as Json }
      const { action } = await requestCreate(store, { ...request, data: {}, args: {}, nowMs: clock.nowMs(), actor: body.actor }, (uid) =>
        Object.keys(passwords).length === 0 ? [] : [put<CreationSecret>(keys.creationSecret(uid), { v: 1, passwords })],
      )
      return actionView(action)
    },
    async showWorkflow(params) {
      const view = await topologyView(world)
      const shown = view.workflow(workflowOf(view, params))
      if (shown.dualwrite === null) return shown
      return { ...shown, dualwrite: { ...shown.dualwrite, fleets: await withCounts(world, shown.dualwrite.fleets) } }
    },
    async act(params, body) {
      const { keyspace = '', name = '' } = params
      const action = await requestAction(store, {
        keyspace,
        name,
        id: body.id,
        verb: body.verb,
        args: body.args as unknown as Json,
        nowMs: clock.nowMs(),
        actor: body.actor,
      })
      return actionView(action)
    },
    async showAction(params) {
      const view = await topologyView(world)
      const workflow = workflowOf(view, params)
      const action = view.one<ActionRecord>(keys.action(workflow.uid, params['id'] ?? ''))
      if (action === null)
        throw apiErrors.notFound({ kind: 'request', name: params['id'] ?? '', list: `reshard --workflow ${workflow.name} show` })
      return actionView(action)
    },
    async workflowLog(params) {
      const { keyspace = '', name = '' } = params
      const log = await readAudit(store, keyspace, name)
      if (log.length === 0) workflowOf(await topologyView(world), params)
      return auditView(log)
    },
    async listVdiffs(params) {
      const view = await topologyView(world)
      return view.vdiffs(workflowOf(view, params).uid)
    },
  }
}

/** A dry run of a creation leaves nothing behind, not even its own record. */
async function dryRun(world: World, id: string, verb: string, plan: () => Promise<string[]>): Promise<ActionView> {
  const nowMs = world.clock.nowMs()
  const action = actionView(newAction(id, verb, {}, nowMs))
  try {
    return { ...action, state: 'done', startedAtMs: nowMs, endedAtMs: world.clock.nowMs(), text: await plan() }
  } catch (error) {
    const errors = error instanceof Failures ? error.errors : error instanceof SwError ? [error] : null
    if (errors === null) throw error
    const views = errors.map((e) => e.toJSON())
    return { ...action, state: 'failed', startedAtMs: nowMs, endedAtMs: world.clock.nowMs(), error: views[0] ?? null, errors: views }
  }
}
