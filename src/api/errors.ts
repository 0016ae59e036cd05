import { defineErrors } from '../base/errors.ts'

export const apiErrors = defineErrors('API', {
  noAnswer: {
    number: 1,
    class: 'transient',
    what: 'the control API at {url} does not answer: {reason}',
    why: 'no control process listens there, or a network stands between',
    fix: 'start it with `shardwright up`, or name another with --api URL',
  },
  badRequest: {
    number: 2,
    class: 'user',
    what: 'the request is not understood: {problems}',
    why: 'a field is missing, unknown or of the wrong form',
    fix: 'correct the named fields; `GET /api/v1/openapi.json` has every form',
  },
  notFound: {
    number: 3,
    class: 'user',
    what: 'there is no {kind} {name}',
    why: 'the name is misspelt, or it was removed',
    fix: 'list what there is: {list}',
  },
  notLeader: {
    number: 4,
    class: 'transient',
    what: 'this control process stands by; {holder} leads',
    why: 'one control process at a time carries out changes',
    fix: 'send the request to the leader, or wait until the lease passes on',
  },
  badAnswer: {
    number: 5,
    class: 'fatal',
    what: 'the answer of {url} is not of the agreed form: {problems}',
    why: 'client and control are of different versions, or something else listens there',
    fix: 'use the same version on both sides; check the address given by --api',
  },
  otherSite: {
    number: 8,
    class: 'user',
    what: 'the control API refuses this request: another site led the browser to it',
    why: 'changes are made from the page that this API serves, or by the command line',
    fix: 'open the page itself, or use `shardwright`',
  },
  otherHost: {
    number: 9,
    class: 'user',
    what: 'the control API refuses this request: it is for the host {host}',
    why: 'without a token it answers to names of its own machine only',
    fix: 'use http://127.0.0.1:PORT, or set SHARDWRIGHT_TOKEN for `shardwright up` and whoever asks',
  },
  unauthorized: {
    number: 6,
    class: 'user',
    what: 'the control API refuses this request: no valid token',
    why: 'this API asks for a bearer token',
    fix: 'set SHARDWRIGHT_TOKEN to the token that `shardwright up` was given; in a browser it is the password, with any name',
  },
  internal: {
    number: 7,
    class: 'fatal',
    what: 'control met an error that it has no name for: {message}',
    why: 'a fault of Shardwright; the log of control has the whole',
    fix: 'read the outcome before repeating the request, and report this with the log',
  },
})
