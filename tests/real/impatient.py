"""A program on asyncio that gives up its calls while they are connecting, and then makes some.

`python impatient.py BASE_URL`. Prints `fine` for each call that it waits for.
"""

import asyncio
import sys

import openai


async def main() -> None:
    client = openai.AsyncOpenAI(base_url=sys.argv[1], api_key="test-key", timeout=20.0)

    async def call() -> None:
        made = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "tell"}]
        )
        print(made.choices[0].message.content)

    for patience in (0.002, 0.004, 0.006, 0.008, 0.01, 0.012, 0.015, 0.02):
        given_up = [asyncio.wait_for(call(), patience) for _ in range(3)]
        await asyncio.gather(*given_up, return_exceptions=True)
    await asyncio.gather(*(call() for _ in range(8)))


asyncio.run(main())
