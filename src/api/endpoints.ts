/** Every request of the control API: method, path and the forms of what goes in and comes out. */
import { CheckTopic, TopicCheckView } from './topic-schemas.ts'
import { z } from 'zod'
import {
  BranchDeletion,
  BranchView,
  CreateBranch,
  CreateFleet,
  DeadLetterView,
  FleetAct,
  FleetDefinition,
  FleetView,
} from './dualwrite-schemas.ts'
import { GateRestartView, RestartGate } from './gate-schemas.ts'
import { PlanRequest, PlanView } from './plan-schemas.ts'
import {
  ActionRequest,
  ActionView,
  ApplyVSchema,
  CreateKeyspace,
  DeleteKeyspace,
  CreateSequence,
  CreateWorkflow,
  GateView,
  KeyspaceDeletion,
  KeyspaceView,
  QueryView,
  SequenceView,
  ShardView,
  StatusView,
  UpdateKeyspace,
  VdiffView,
  WorkflowView,
} from './schemas.ts'
import { AuditView } from './history-schemas.ts'
import { AcceptServer, ServerUrl, ServerView, SetPrimary } from './server-schemas.ts'
import { AlterUser, CreateUser, UserView } from './user-schemas.ts'

export type Endpoint = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** `:name` marks a parameter. */
  readonly path: string
  readonly body: z.ZodType | null
  readonly response: z.ZodType
  readonly summary: string
}

function endpoint<B extends z.ZodType | null, R extends z.ZodType>(
  method: Endpoint['method'],
  path: string,
  summary: string,
  body: B,
  response: R,
): { readonly method: Endpoint['method']; readonly path: string; readonly summary: string; readonly body: B; readonly response: R } {
  return { method, path, summary, body, response }
}

const workflowPath = '/api/v1/workflows/:keyspace/:name'

export const endpoints = {
  status: endpoint('GET', '/api/v1/status', 'everything at a glance', null, StatusView),
  listKeyspaces: endpoint('GET', '/api/v1/keyspaces', 'all keyspaces', null, z.array(KeyspaceView)),
  createKeyspace: endpoint('POST', '/api/v1/keyspaces', 'attach or provision a keyspace', CreateKeyspace, KeyspaceView),
  showKeyspace: endpoint('GET', '/api/v1/keyspaces/:keyspace', 'one keyspace', null, KeyspaceView),
  updateKeyspace: endpoint('PUT', '/api/v1/keyspaces/:keyspace', "change a keyspace's settings", UpdateKeyspace, KeyspaceView),
  deleteKeyspace: endpoint(
    'DELETE',
    '/api/v1/keyspaces/:keyspace',
    'forget a keyspace; removes only what we provisioned',
    DeleteKeyspace,
    KeyspaceDeletion,
  ),
  listShards: endpoint('GET', '/api/v1/keyspaces/:keyspace/shards', 'the shards of a keyspace', null, z.array(ShardView)),
  createBranch: endpoint('POST', '/api/v1/keyspaces/:keyspace/branches', 'make a branch: a second set of shards', CreateBranch, BranchView),
  listBranches: endpoint('GET', '/api/v1/keyspaces/:keyspace/branches', 'the branches of a keyspace', null, z.array(BranchView)),
  deleteBranch: endpoint(
    'DELETE',
    '/api/v1/keyspaces/:keyspace/branches/:branch',
    'remove a branch that nothing reads or writes',
    DeleteKeyspace,
    BranchDeletion,
  ),
  createFleet: endpoint('POST', '/api/v1/fleets', 'make the fleet that fills a branch from a topic', CreateFleet, FleetView),
  listFleets: endpoint('GET', '/api/v1/fleets', 'all fleets', null, z.array(FleetView)),
  showFleet: endpoint('GET', '/api/v1/fleets/:fleet', 'one fleet', null, FleetView),
  deadLetters: endpoint(
    'GET',
    '/api/v1/fleets/:fleet/dead/:limit',
    'records of a fleet that make no rows, by partition and offset',
    null,
    z.array(DeadLetterView),
  ),
  setFleet: endpoint('PUT', '/api/v1/fleets/:fleet', 'hold, resume or stop a fleet', FleetAct, FleetView),
  updateFleet: endpoint(
    'PUT',
    '/api/v1/fleets/:fleet/definition',
    'give a fleet another version of its definition',
    FleetDefinition,
    FleetView,
  ),
  deleteFleet: endpoint('DELETE', '/api/v1/fleets/:fleet', 'forget a stopped fleet', null, z.object({ deleted: z.boolean() })),
  checkTopic: endpoint(
    'POST',
    '/api/v1/topics/check',
    'hold a topic definition against the tables that it would write',
    CheckTopic,
    TopicCheckView,
  ),
  addReplica: endpoint(
    'POST',
    '/api/v1/keyspaces/:keyspace/shards/:shard/replicas',
    "take a replica of a shard's server into the topology",
    ServerUrl,
    ServerView,
  ),
  removeReplica: endpoint(
    'DELETE',
    '/api/v1/keyspaces/:keyspace/shards/:shard/replicas/:server',
    'forget a replica; the server is left as it is',
    null,
    z.object({ removed: z.boolean() }),
  ),
  shardLog: endpoint(
    'GET',
    '/api/v1/keyspaces/:keyspace/shards/:shard/log',
    "what was done to a shard's servers, oldest first",
    null,
    z.array(AuditView),
  ),
  setPrimary: endpoint(
    'POST',
    '/api/v1/keyspaces/:keyspace/shards/:shard/primary',
    'make a replica the primary of its shard: the old one is closed, the new one must have all of it',
    SetPrimary,
    z.object({ text: z.array(z.string()) }),
  ),
  listServers: endpoint('GET', '/api/v1/servers', 'all servers', null, z.array(ServerView)),
  openServer: endpoint(
    'POST',
    '/api/v1/servers/:server/open',
    'give a server back to its clients that no shard stands on any more',
    null,
    z.object({ opened: z.boolean() }),
  ),
  acceptServer: endpoint(
    'POST',
    '/api/v1/servers/:server/accept',
    'take the server that answers at this address for the one that was attached',
    AcceptServer,
    z.object({ was: z.string(), is: z.string() }),
  ),
  showVSchema: endpoint('GET', '/api/v1/keyspaces/:keyspace/vschema', "a keyspace's vschema", null, z.record(z.string(), z.unknown())),
  applyVSchema: endpoint(
    'PUT',
    '/api/v1/keyspaces/:keyspace/vschema',
    'replace a vschema',
    ApplyVSchema,
    z.record(z.string(), z.unknown()),
  ),
  plan: endpoint('POST', '/api/v1/keyspaces/:keyspace/plan', 'which way to another number of shards fits, and why', PlanRequest, PlanView),
  createSequence: endpoint('POST', '/api/v1/sequences', 'make a sequence for a column', CreateSequence, SequenceView),
  createUser: endpoint('POST', '/api/v1/users', 'an account for clients of the gate', CreateUser, UserView),
  listUsers: endpoint('GET', '/api/v1/users', 'accounts for clients of the gate, their rights and limits', null, z.array(UserView)),
  alterUser: endpoint('PUT', '/api/v1/users/:user', 'change a password, rights, limits', AlterUser, UserView),
  dropUser: endpoint('DELETE', '/api/v1/users/:user', 'drop an account', null, z.object({ dropped: z.boolean() })),
  listQueries: endpoint('GET', '/api/v1/queries', 'what clients sent to the gates, by shape', null, z.array(QueryView)),
  listGates: endpoint('GET', '/api/v1/gates', 'live gates', null, z.array(GateView)),
  restartGate: endpoint('POST', '/api/v1/gates/:gate/restart', 'another process in the place of a gate', RestartGate, GateRestartView),
  listGateRestarts: endpoint('GET', '/api/v1/gate-restarts', 'restarts of gates, and how far they are', null, z.array(GateRestartView)),
  listWorkflows: endpoint('GET', '/api/v1/workflows', 'all workflows', null, z.array(WorkflowView)),
  createWorkflow: endpoint(
    'POST',
    '/api/v1/workflows',
    'create a workflow; answers at once, the action goes on',
    CreateWorkflow,
    ActionView,
  ),
  showWorkflow: endpoint('GET', workflowPath, 'one workflow', null, WorkflowView),
  act: endpoint('POST', `${workflowPath}/actions`, 'one idempotent control action; answers at once', ActionRequest, ActionView),
  showAction: endpoint('GET', `${workflowPath}/actions/:id`, 'the outcome of an action', null, ActionView),
  workflowLog: endpoint('GET', `${workflowPath}/log`, 'what was done to a workflow, oldest first', null, z.array(AuditView)),
  listVdiffs: endpoint('GET', `${workflowPath}/vdiffs`, 'comparisons, newest first', null, z.array(VdiffView)),
} as const

export type EndpointName = keyof typeof endpoints
export type RequestBody<N extends EndpointName> = (typeof endpoints)[N]['body'] extends z.ZodType
  ? z.input<(typeof endpoints)[N]['body']>
  : undefined
export type ParsedBody<N extends EndpointName> = (typeof endpoints)[N]['body'] extends z.ZodType
  ? z.output<(typeof endpoints)[N]['body']>
  : undefined
export type ResponseOf<N extends EndpointName> = z.output<(typeof endpoints)[N]['response']>
export type Params = Readonly<Record<string, string>>
