from concurrent.futures import ThreadPoolExecutor

from tests.store.examples import trace

from freehold.store.bodies import pack_trace, unpack_trace


def test_a_trace_comes_back_and_takes_less():
    long = trace(1, request={"messages": [{"role": "user", "content": "where is my parcel? " * 500}]})
    packed = pack_trace(long)
    assert unpack_trace(packed) == long
    assert len(packed) < 1000


def test_threads_pack_side_by_side():
    traces = [trace(number) for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda one: unpack_trace(pack_trace(one)), traces)) == traces
