import { defineErrors } from '../base/errors.ts'

export const planErrors = defineErrors('PLAN', {
  unknownAssumption: {
    number: 1,
    class: 'user',
    what: 'no figure or fact of a plan is called {name}',
    why: 'only what the formulas use can be assumed',
    fix: 'use one of: {known}',
  },
  badAssumption: {
    number: 2,
    class: 'user',
    what: '{name}={value}: {problem}',
    why: 'the value could not be understood',
    fix: 'durations are 8d, 12h, 90m, 30s; bytes 40GiB; rates 10000; facts yes, no or a list a,b; also unbounded and unknown',
  },
  notSimulable: {
    number: 3,
    class: 'user',
    what: '{way} cannot be simulated: {missing} is {state}',
    why: 'a simulation needs a number for each figure that its formulas use',
    fix: 'add  --assume {name}=VALUE',
  },
})
