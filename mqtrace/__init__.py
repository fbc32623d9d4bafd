"""mqtrace"""
