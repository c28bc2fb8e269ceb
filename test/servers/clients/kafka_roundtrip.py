"""Sends one message and reads it back with kafka-python, a client that shares no code with librdkafka or with ours.

argv: a JSON object with topic, text and the client's own options. Prints the text, or the name of the error.
"""
import json
import os
import sys

options = {"bootstrap_timeout_ms": 3000, **json.loads(sys.argv[1])}
sys.path.insert(0, options.pop("modules"))

from kafka import KafkaConsumer, KafkaProducer, TopicPartition  # noqa: E402
from kafka.net.sasl.oauth import AbstractTokenProvider  # noqa: E402


class Fixed(AbstractTokenProvider):
    def __init__(self, text):
        super().__init__()
        self.text = text

    def token(self):
        return self.text


topic, text, token = options.pop("topic"), options.pop("text"), options.pop("token", None)
if token is not None:
    options["sasl_oauth_token_provider"] = Fixed(token)
try:
    producer = KafkaProducer(max_block_ms=5000, **options)
    sent = producer.send(topic, text.encode()).get(timeout=8)
    consumer = KafkaConsumer(consumer_timeout_ms=8000, **options)
    consumer.assign([TopicPartition(topic, sent.partition)])
    consumer.seek(TopicPartition(topic, sent.partition), sent.offset)
    print(next(consumer).value.decode())
except Exception as error:  # the test compares the name
    print(type(error).__name__, error, flush=True)
    # Not sys.exit, which would wait for the client's own threads to give up.
    os._exit(1)
