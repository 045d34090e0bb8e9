// The cluster under test: where it is, its nodes by number, what its database has, and orders to its HTTP API.

import postgres from 'postgres';
import { until } from './until.mjs';

/** nginx, the only way in. */
export const url = demanded('FOOTFALL_URL', 'the base URL of nginx, such as http://127.0.0.1:8080').replace(/\/$/, '');

const api = demanded('FOOTFALL_API', "a node's API, as backends reach it, such as http://127.0.0.1:8081/api");

/** The HS256 key that the nodes check tokens with. */
export const secret = demanded('FOOTFALL_SECRET', 'the key that tokens are signed with');

/** The brokers of Kafka. */
export const brokers = demanded('KAFKA_BROKERS', 'where Kafka is, such as 127.0.0.1:9092').split(',');

const serviceToken = demanded('FOOTFALL_SERVICE_TOKEN', 'one of auth.service_tokens');
const database = postgres(demanded('DATABASE_URL', "the URL of footfall's database"), { max: 1, onnotice: () => {} });

/** On each answer, the one to a handshake included. */
export const NODE = 'x-footfall-node';

/** The names of the nodes, however many nginx sends us to; the first is node 1. */
export async function nodes(count) {
  const names = new Set();
  await until(`${count} nodes have answered`, async () => {
    const answer = await fetch(`${url}/ws`);
    await answer.arrayBuffer();
    const name = answer.headers.get(NODE);
    if (!name) throw new Error(`An answer with ${answer.status} names no node.`);
    return names.add(name).size === count;
  });
  return [...names].sort();
}

/** What a backend orders; the status of the answer. */
export async function order(method, path) {
  const answer = await fetch(`${api}${path}`, { method, headers: { Authorization: `Bearer ${serviceToken}` } });
  await answer.arrayBuffer();
  return answer.status;
}

/** The rows of a destination, as the database has them. A user's own queue is `/user/<name>/queue/<queue>`. */
export function rows(destination) {
  return database`
    SELECT sequence::int, sender, convert_from(body, 'UTF8') AS body
    FROM messages JOIN destinations ON destinations.id = messages.destination
    WHERE name = ${destination} ORDER BY sequence`;
}

/** The partition of the events topic in which a destination's messages lie. */
export async function partitionOf(destination) {
  const [{ number }] = await database`
    SELECT DISTINCT partitions.number::int
    FROM messages JOIN destinations ON destinations.id = messages.destination
    JOIN message_ids ON message_ids.id = messages.id JOIN partitions ON partitions.id = message_ids.partition
    WHERE name = ${destination}`;
  return number;
}

export function leave() {
  return database.end();
}

/** What must be in the environment, or a sentence instead of a stack of failures. */
function demanded(name, meaning) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; scenarios need ${meaning}.`);
  return value;
}
