'use strict';

// What a driver needs to look at Box's side and at the broker, and how it tells what it found.

const { createHash } = require('node:crypto');
const { readFileSync } = require('node:fs');

const STAGE = JSON.parse(readFileSync(process.env.BTB_SDK_STAGE, 'utf8'));

/** An HTTP request; the JSON of the answer, or nothing where it has none. */
async function call(method, url, body, key) {
  const headers = { 'Content-Type': 'application/json', ...(key && { Authorization: `Bearer ${key}` }) };
  const response = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status}: ${text}`);
  return text ? JSON.parse(text) : undefined;
}

const atBox = (method, path, body) => call(method, STAGE.sandbox + path, body);

/** Box ends all tokens of a subject. */
const kill = (subject) => atBox('DELETE', `/sandbox/tokens?subject=${subject}`);

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

const lives = async (token) => (await atBox('GET', `/sandbox/tokens/${sha256(token)}`)).live;

const journal = async (filters = {}) => (await atBox('GET', `/sandbox/journal?${new URLSearchParams(filters)}`)).items;

const lastEntry = async () => Math.max(0, ...(await journal()).map(({ n }) => n));

/** Runs each check, in its order, whatever becomes of the others. */
async function run(checks) {
  console.log(`checks: ${Object.keys(checks).length}`);
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok: ${name}`);
    } catch (error) {
      const where = /\/([a-z0-9_]+\.js:\d+)/.exec(error?.stack ?? '')?.[1] ?? '';
      console.log(`FAILED: ${name}: ${String(error).replace(/\s+/g, ' ').slice(0, 400)} (${where})`);
    }
  }
}

module.exports = { STAGE, call, kill, lives, journal, lastEntry, run };
