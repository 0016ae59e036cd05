import { defineErrors } from '../base/errors.ts'

/** Errors of starting, adopting and stopping database servers on this machine. */
export const localErrors = defineErrors('LOCAL', {
  noServers: {
    number: 1,
    class: 'user',
    what: 'no {flavour} server is known on this machine ({file} does not name one)',
    why: 'set-up writes that file when it has found or unpacked a server of this flavour',
    fix: 'run  npm run setup -- --flavour {flavour}',
  },
  serversFileUnreadable: {
    number: 2,
    class: 'user',
    what: '{file} cannot be read as a list of servers: {reason}',
    why: 'the file was edited, cut short, or written by another version',
    fix: 'delete it and run  npm run setup',
  },
  initFailed: {
    number: 3,
    class: 'fatal',
    what: 'a data directory for {flavour} {version} could not be made in {dir}: {tail}',
    why: 'the server program refused to initialise it: a full disk, missing libraries, or a security profile that keeps it out of the directory',
    fix: 'read the server’s own words above; free space or choose another directory, or name another program by SHARDWRIGHT_MARIADBD or SHARDWRIGHT_MYSQLD and run  npm run setup',
  },
  startFailed: {
    number: 4,
    class: 'fatal',
    what: 'the {flavour} server {id} ended while starting ({how}): {tail}',
    why: 'the server program gave up; its log has the whole story',
    fix: 'read {log}',
  },
  startTimeout: {
    number: 5,
    class: 'transient',
    what: 'the {flavour} server {id} did not answer within {timeoutMs} ms of its start',
    why: 'recovery after a crash can take long, or the machine is overloaded',
    fix: 'read {log}; then try again: a server that is still starting is adopted',
  },
  noFreePort: {
    number: 6,
    class: 'transient',
    what: 'no free port found on 127.0.0.1 near {preferred}',
    why: 'other programs hold the ports that were tried',
    fix: 'stop one of them, or choose another port',
  },
  flavourChanged: {
    number: 7,
    class: 'user',
    what: 'the data directory {dir} belongs to {had}, not {wanted}',
    why: 'a data directory can only be served by the flavour that made it',
    fix: 'use another data directory or  --flavour {had}',
  },
  notOurs: {
    number: 8,
    class: 'user',
    what: 'the server of {dir} is not running, or process {pid} is not the one that was started there',
    why: 'a process is signalled only when its number and its start time are both the recorded ones',
    fix: 'start the server, or stop the process yourself if you know what it is',
  },
  busy: {
    number: 9,
    class: 'transient',
    what: 'another process is starting or stopping the server of {dir}; waited {waitedMs} ms',
    why: 'starts and stops of one data directory are done one at a time',
    fix: 'try again; the lock ends with the process that holds it',
  },
  recordUnreadable: {
    number: 10,
    class: 'user',
    what: '{file} cannot be read: {reason}',
    why: 'it says which process serves this data directory and was edited or written by a newer version',
    fix: 'stop the server that runs there, then delete the file: it is written anew at the next start',
  },
  stopTimeout: {
    number: 11,
    class: 'transient',
    what: 'the server of {dir} (process {pid}) did not end within {timeoutMs} ms of being asked',
    why: 'a shutdown writes changed pages to disk and waits for open transactions to roll back',
    fix: 'wait and ask again; read {log}',
  },
  neverProvisioned: {
    number: 12,
    class: 'fatal',
    what: 'no server {id} was ever made below {root}',
    why: 'its directory is gone, or the data directory is another one than before',
    fix: 'start with the data directory that holds it, or put the directory back',
  },
})
