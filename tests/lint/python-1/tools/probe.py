def probe(:
    pass
