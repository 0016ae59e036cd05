import { defineErrors } from '../base/errors.ts'

export const mainErrors = defineErrors('MAIN', {
  badArguments: {
    number: 1,
    class: 'user',
    what: 'the arguments of {process} are not understood: {problem}',
    why: 'processes are started by `shardwright up` or by your own supervisor, with the flags that --help lists',
    fix: 'correct the flag named',
  },
  dataDirInUse: {
    number: 2,
    class: 'user',
    what: 'the data directory {dataDir} is in use by process {pid}',
    why: 'one process tree at a time works on a data directory',
    fix: 'stop that one (Ctrl-C, or `kill {pid}`), or give another --data-dir',
  },
  childFailed: {
    number: 3,
    class: 'fatal',
    what: '{process} did not become ready within {seconds} s',
    why: 'it ended or could not start; its log says why',
    fix: 'read {log}',
  },
  dataDirNotOurs: {
    number: 4,
    class: 'user',
    what: '{dataDir} holds files that are not ours, such as {strange}',
    why: 'a data directory is new, empty, or was made by Shardwright',
    fix: 'give an empty or new directory by --data-dir',
  },
  openToNetwork: {
    number: 5,
    class: 'user',
    what: 'the control API would listen on {host} without a token',
    why: 'whoever reaches it can switch and remove shards',
    fix: 'set SHARDWRIGHT_TOKEN (or give --token-file), here and for the command line; or leave --api-host at 127.0.0.1',
  },
  badToken: {
    number: 6,
    class: 'user',
    what: 'the token in {from} has {length} characters',
    why: 'a token is at least 16 characters of letters, digits and -._~+/=',
    fix: 'make one: openssl rand -hex 24',
  },
  badCertificate: {
    number: 7,
    class: 'user',
    what: "the gate's certificate {cert} with key {key} can not be used: {problem}",
    why: 'both are needed, in PEM, the key without a passphrase and belonging to the certificate, readable by this process',
    fix: 'give --tls-cert and --tls-key together; openssl x509 -in {cert} -noout -text shows what the file holds',
  },
})
