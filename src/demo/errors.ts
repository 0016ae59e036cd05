import { defineErrors } from '../base/errors.ts'

export const demoErrors = defineErrors('DEMO', {
  failed: {
    number: 1,
    class: 'fatal',
    what: 'the story broke off: {what}',
    why: 'something that should work did not',
    fix: 'read the logs in the data directory; `npm start` begins anew',
  },
  badOption: {
    number: 2,
    class: 'user',
    what: '{option}: {problem}',
    why: 'the option could not be understood',
    fix: 'npm start -- [--steps 1,4,8,2] [--flavour mariadb|mysql] [--rows N] [--exit] [--sabotage lose-row|double-row|wrong-shard|error|slow-switch]',
  },
})
