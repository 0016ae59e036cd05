import { defineErrors } from '../base/errors.ts'

export const cliErrors = defineErrors('CLI', {
  badArgument: {
    number: 1,
    class: 'user',
    what: '{argument}: {problem}',
    why: 'the command line could not be understood',
    fix: '`shardwright {command} --help` lists what it takes',
  },
  refusedFlag: {
    number: 2,
    class: 'user',
    what: '{flag} is not offered here: {why}',
    why: 'it exists in Vitess, but has no meaning or no safe meaning in Shardwright',
    fix: '{instead}',
  },
  unknownVerb: {
    number: 3,
    class: 'user',
    what: '{command} has no verb {verb}',
    why: 'the verb is misspelt or belongs to another command',
    fix: 'use one of: {verbs}',
  },
  missing: {
    number: 4,
    class: 'user',
    what: '{command} needs {flag}',
    why: 'without it there is nothing to act on',
    fix: 'add {flag}',
  },
  failed: {
    number: 5,
    class: 'user',
    what: '{what}',
    why: 'the action ended without success',
    fix: 'read the lines above, mend, repeat',
  },
  notMeant: {
    number: 7,
    class: 'user',
    what: '{verb} of {name} was not confirmed',
    why: 'it can not be undone: one side of the workflow goes',
    fix: 'on a terminal type the name of the workflow when asked; elsewhere add --yes. --dry-run names the servers and bytes that would go',
  },
  gateNotRestarted: {
    number: 8,
    class: 'transient',
    what: 'gate {gate} was not restarted, and goes on as it was: {problem}',
    why: 'a gate is told to end only once another serves in its place',
    fix: '{done} of {all} gates were restarted before it; mend that, then: shardwright gate restart',
  },
  gateRestartLost: {
    number: 9,
    class: 'unknown',
    what: 'nobody says how far the restart of gate {gate} is: {state} for {seconds} s',
    why: 'the `shardwright up` that had begun it ended, or does not reach the topology',
    fix: 'shardwright gate status shows the gates that run',
  },
  passwordOnCommandLine: {
    number: 6,
    class: 'user',
    what: 'a password stands in the clear in {argument}',
    why: 'command lines are seen by every user of the machine and kept in histories',
    fix: 'put it into a file (--password-file F) or the environment (SHARDWRIGHT_SERVER_PASSWORD)',
  },
})
