import { defineErrors } from '../base/errors.ts'

export const controlErrors = defineErrors('CONTROL', {
  userExists: {
    number: 1,
    class: 'user',
    what: 'there is a user {name} already, with another password or other settings',
    why: 'applications may use it: creating it again would change what they may do',
    fix: 'shardwright user alter {name} …; shardwright user list',
  },
  noUser: {
    number: 2,
    class: 'user',
    what: 'there is no user {name}',
    why: 'the name is misspelt, or it was dropped',
    fix: 'shardwright user list',
  },
  userNeedsPassword: {
    number: 3,
    class: 'user',
    what: 'user {name} has no password',
    why: 'an account without any would let everybody in',
    fix: 'give --password-file FILE (an empty file: an empty password), or --hash-file FILE',
  },
  badGrant: {
    number: 4,
    class: 'user',
    what: '`{text}` is no grant',
    why: 'rights are read, write and ddl, or all; they are had on a keyspace, or on * (every one)',
    fix: 'write it like: read, write on app',
  },
  revokeFromAll: {
    number: 5,
    class: 'user',
    what: 'a right that is had on every keyspace can not be taken back on {keyspace} alone',
    why: 'the user has {text}',
    fix: 'revoke `{text}`, and grant what is to stay by keyspace',
  },
  gateNotOurs: {
    number: 7,
    class: 'user',
    what: 'gate {gate} was not restarted: nobody took that on within {seconds} s',
    why: 'who started a gate restarts it, and no `shardwright up` that runs says that it started this one',
    fix: 'restart it where it was started: after SIGTERM it lets transactions come to their COMMIT (--drain-ms) and ends; start another one first, on the same port, both with --reuse-port yes',
  },
  gateRestartBusy: {
    number: 8,
    class: 'transient',
    what: 'gate {gate} was not restarted: {other} is being, and they are restarted one at a time',
    why: 'at any moment all gates but one serve as before',
    fix: 'repeat it when that is done; without --gate, shardwright gate restart takes one after another',
  },
  badPasswordHash: {
    number: 6,
    class: 'user',
    what: 'the hash is none that a gate can verify a password by',
    why: 'it is neither * and 40 hex digits (mysql_native_password) nor $A$005$ with salt and digest (caching_sha2_password), as such or in hex',
    fix: "on the server: SELECT HEX(authentication_string) FROM mysql.user WHERE user = '…'",
  },
})
