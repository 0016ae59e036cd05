import { defineErrors } from '../base/errors.ts'

export const workflowErrors = defineErrors('WORKFLOW', {
  unknownVerb: {
    number: 1,
    class: 'user',
    what: 'a {kind} workflow has no {verb}',
    why: 'each kind of workflow has its own verbs',
    fix: 'use one of: {verbs}',
  },
  nameInUse: {
    number: 2,
    class: 'user',
    what: 'workflow {name} in keyspace {keyspace} is in use ({state})',
    why: 'a name belongs to one workflow until that is complete or cancelled',
    fix: 'choose another name, or end it first: `shardwright reshard --workflow {name} --target-keyspace {keyspace} show`',
  },
  notFound: {
    number: 3,
    class: 'user',
    what: 'there is no workflow {name} in keyspace {keyspace}',
    why: 'workflows are named within their target keyspace',
    fix: 'list them: `shardwright workflow list`',
  },
  idInUse: {
    number: 4,
    class: 'user',
    what: 'the request id {id} was used for another request ({verb})',
    why: 'an id names one request for ever, so that running it twice is running it once',
    fix: 'send the new request under an id of its own',
  },
  notLeader: {
    number: 5,
    class: 'transient',
    what: 'this process no longer leads: another holds the lease',
    why: 'its lease ended or was taken, so nothing it prepared may take effect',
    fix: 'nothing: the new leader goes on with the action',
  },
  internal: {
    number: 6,
    class: 'fatal',
    what: '{verb} met an error that has no name: {message}',
    why: 'a fault of Shardwright; the log of control has the whole',
    fix: 'look at the workflow (`show`) before repeating, and report this with the log',
  },
  gaveWay: {
    number: 8,
    class: 'user',
    what: '{verb} gave way to {to}, which was asked for meanwhile',
    why: 'it only looks, waits or prepares, and what was asked for must not wait for that',
    fix: 'ask for it again when {to} has ended, if it is still wanted',
  },
  gone: {
    number: 7,
    class: 'fatal',
    what: 'the record {key} was removed while it was in use',
    why: 'something other than Shardwright changed the topology',
    fix: 'create the workflow again; what it made is found by `check`',
  },
})
