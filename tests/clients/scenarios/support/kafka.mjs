// Kafka as somebody sees it who writes nonsense into footfall's topics, and looks later what became of it.

import kafkajs from 'kafkajs';
import { brokers } from './cluster.mjs';

export const EVENTS = 'footfall.events';
export const BROADCAST = 'footfall.broadcast';
const DEAD_LETTERS = 'footfall.dead-letters';

const kafka = new kafkajs.Kafka({ clientId: 'scenarios', brokers, logLevel: kafkajs.logLevel.ERROR });

/** Writes a record that is none of footfall's to where the messages of a destination go; where it lies. */
export async function poison(t, topic, destination) {
  const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  t.after(() => producer.disconnect());
  const [{ partition, baseOffset }] = await producer.send({ topic, acks: -1, messages: [{ key: destination, value: 'no CloudEvent' }] });
  return { topic, partition, offset: Number(baseOffset) };
}

/** Reads the dead-letter topic from its beginning; the letters, to which more are added as they come. */
export async function deadLetters(t) {
  const letters = [];
  // An answer that waits 5 s for something to come, as by default, would be waited for at the end too.
  const consumer = kafka.consumer({ groupId: `scenarios-${Date.now()}`, maxWaitTimeInMs: 100 });
  await consumer.connect();
  t.after(() => consumer.disconnect());
  await consumer.subscribe({ topic: DEAD_LETTERS, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message: { key, value, headers } }) => {
      const told = (name) => headers[`footfall_${name}`]?.toString();
      const place = { topic: told('topic'), partition: Number(told('partition')), offset: Number(told('offset')) };
      letters.push({ place, reason: told('reason'), key: key?.toString(), value: value?.toString() });
    },
  });
  return letters;
}
