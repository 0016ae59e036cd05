import { testServer } from '/work/main/test/kit/servers.ts'
const a = await testServer({ flavour: 'mariadb', bufferPoolMb: 32 })
const b = await testServer({ flavour: 'mysql', bufferPoolMb: 32 })
console.log(`MA=${a.port} MY=${b.port}`)
setInterval(() => {}, 1000)
