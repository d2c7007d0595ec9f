from onggi.oci.mount import Mount


def test_mounts_are_values() -> None:
    mount = Mount(type="overlay", source="overlay", options=("lowerdir=/a:/b",))
    assert mount == Mount(type="overlay", source="overlay", options=("lowerdir=/a:/b",))
    assert mount != Mount(type="overlay", source="overlay")
    assert len({mount, Mount(type="overlay", source="overlay", options=("lowerdir=/a:/b",))}) == 1
    assert repr(mount) == (
        "Mount(type='overlay', source='overlay', target='', options=('lowerdir=/a:/b',))"
    )
