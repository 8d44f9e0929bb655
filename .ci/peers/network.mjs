// Runs Bluesky's reference PDS, with a PLC directory in memory, on loopback:
// for tests, which start it by internal/peers. It makes one account with one
// app password, prints one line of JSON, and serves until SIGTERM, SIGINT or,
// under --stdin, the end of its standard input.
//
// Start it in the folder where `npm ci` ran (package.json beside this file).
//
//   PDS_HOSTNAME  the PDS' public name; its URL is https://NAME, and whoever
//                 starts this puts a TLS front before the printed "backend".
//                 Without it the PDS runs in developer mode under
//                 http://localhost:PORT.
//   PDS_PORT, PLC_PORT  ports on 127.0.0.1 (default: any free one)
//   DATA_DIR      folder for the PDS' files (default: a temporary one, removed
//                 at the end)
//   HANDLE, PASSWORD  the account (default alice.test, alice-pass-1234)
//   CLIENT_MAP    FROM=TO,...: what the PDS fetches below FROM (an https
//                 origin) comes from TO (an http one): client metadata and
//                 keys of a web client, which the PDS wants under https and a
//                 name that is not local. .internal passes; .test, .local,
//                 .invalid and .example do not.
//   LOG_ENABLED=true  the PDS' own log, on standard error
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import net from 'node:net'
import os from 'node:os'
import fs from 'node:fs'
import path from 'node:path'
import crypto from 'node:crypto'

const env = process.env
const backend = (server) => `http://127.0.0.1:${server.address().port}`

// The servers listen without naming a host, which would be every interface:
// here it is loopback.
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (first, ...rest) {
  if (typeof first === 'number') {
    const ready = rest.find((arg) => typeof arg === 'function')
    return listen.call(this, { port: first, host: '127.0.0.1' }, ready)
  }
  if (first && typeof first === 'object' && !first.host && !first.path) {
    first = { ...first, host: '127.0.0.1' }
  }
  return listen.call(this, first, ...rest)
}

// Nothing connects beyond loopback: such a try is refused at once.
const local = new Set(['127.0.0.1', '::1', 'localhost'])
const connect = net.Socket.prototype.connect
net.Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0]
  const host = typeof options === 'object' && !options.path ? options.host || 'localhost' : 'localhost'
  if (local.has(host)) return connect.apply(this, args)
  console.error(`refused an outbound connection to ${host}:${options.port}`)
  process.nextTick(() => this.destroy(new Error(`outbound connection to ${host} refused`)))
  return this
}

const fetchURL = globalThis.fetch
const clientMap = (env.CLIENT_MAP || '').split(',').filter(Boolean).map((pair) => pair.split('='))
globalThis.fetch = function (input, init) {
  const request = input instanceof Request
  const url = request ? input.url : String(input)
  const mapped = clientMap.find(([from]) => url.startsWith(`${from}/`))
  if (!mapped) return fetchURL.call(this, input, init)
  const [from, to] = mapped
  const headers = request ? input.headers : init?.headers
  return fetchURL(to + url.slice(from.length), { headers, redirect: 'manual' })
}

const require = createRequire(path.join(process.cwd(), 'package.json'))
const { PlcServer, Database } = require('@did-plc/server')
const entry = path.join(process.cwd(), 'node_modules/@atproto/pds/dist/index.js')
const { PDS, envToCfg, envToSecrets, readEnv } = await import(pathToFileURL(entry).href)

const plc = PlcServer.create({ db: Database.mock(), port: Number(env.PLC_PORT || 0) })
const plcServer = await plc.start()

const hostname = env.PDS_HOSTNAME || 'localhost'
// In developer mode the port is part of the PDS' URL and so must be known.
const pdsPort = Number(env.PDS_PORT || (hostname === 'localhost' ? 2583 : 0))
const dir = env.DATA_DIR || fs.mkdtempSync(path.join(os.tmpdir(), 'connect-pds-'))
fs.mkdirSync(path.join(dir, 'blobs'), { recursive: true })
const adminPassword = crypto.randomBytes(16).toString('hex')

Object.assign(env, {
  PDS_PORT: String(pdsPort),
  PDS_HOSTNAME: hostname,
  PDS_DEV_MODE: String(hostname === 'localhost'),
  PDS_DISABLE_SSRF_PROTECTION: 'true', // its peers are on loopback
  PDS_DATA_DIRECTORY: dir,
  PDS_BLOBSTORE_DISK_LOCATION: path.join(dir, 'blobs'),
  PDS_BLOBSTORE_DISK_TMP_LOCATION: path.join(dir, 'tmpblobs'),
  // The PDS refuses a DID directory at an IP address.
  PDS_DID_PLC_URL: `http://localhost:${plcServer.address().port}`,
  PDS_SERVICE_HANDLE_DOMAINS: '.test',
  PDS_INVITE_REQUIRED: 'false',
  PDS_ENABLE_DID_DOC_WITH_SESSION: 'true',
  PDS_ADMIN_PASSWORD: adminPassword,
  PDS_JWT_SECRET: crypto.randomBytes(16).toString('hex'),
  PDS_DPOP_SECRET: crypto.randomBytes(32).toString('hex'),
  PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX: crypto.randomBytes(32).toString('hex'),
})
const settings = readEnv()
const pds = await PDS.create(envToCfg(settings), envToSecrets(settings))
const pdsServer = await pds.start()

async function call(method, body, token) {
  const response = await fetchURL(`${backend(pdsServer)}/xrpc/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body),
  })
  const answer = await response.json()
  if (!response.ok) throw new Error(`${method}: ${response.status} ${answer.error}`)
  return answer
}

const email = 'alice@example.com'
const password = env.PASSWORD || 'alice-pass-1234'
const account = await call('com.atproto.server.createAccount', { handle: env.HANDLE || 'alice.test', email, password })
const app = await call('com.atproto.server.createAppPassword', { name: 'first' }, account.accessJwt)

console.log(JSON.stringify({
  pds: pds.ctx.cfg.service.publicUrl,
  backend: backend(pdsServer),
  plc: backend(plcServer),
  did: account.did,
  handle: account.handle,
  email,
  password,
  appPassword: app.password,
  adminPassword,
}))

let stopping = false
async function stop() {
  if (stopping) return
  stopping = true
  await pds.destroy().catch(() => {})
  await plc.destroy().catch(() => {})
  if (!env.DATA_DIR) fs.rmSync(dir, { recursive: true, force: true })
  process.exit(0)
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
if (process.argv.includes('--stdin')) process.stdin.on('end', stop).resume()
